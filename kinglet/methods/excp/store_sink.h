// An ExCP store as the place where a training loop puts its checkpoints.
#pragma once

#include <functional>

#include "kinglet/methods/excp/store.h"
#include "kinglet/train/checkpoint_sink.h"

namespace kinglet::excp {

// Works inside the store's folder: `incoming/` holds the folder of begin() until commit() has added it, `restored/`
// what open() gave out. Both are emptied when a sink is made or destroyed; a folder from open() lives as long as the
// sink. Holds the store's write lock.
class StoreSink : public CheckpointSink {
 public:
  // `verify`: read every step back before it is committed.
  StoreSink(const std::filesystem::path& store, Options options, bool verify = false);
  ~StoreSink() override;
  StoreSink(const StoreSink&) = delete;
  StoreSink& operator=(const StoreSink&) = delete;

  // Raises Error (bad input) when `step` is not newer than everything stored.
  std::filesystem::path begin(std::int64_t step) override;
  void commit(std::int64_t step) override;
  std::vector<std::int64_t> steps() const override;
  std::filesystem::path open(std::int64_t step) override;

  const Store& store() const { return store_; }
  void on_added(std::function<void(const AddReport&)> listener) { listener_ = std::move(listener); }

 private:
  void remove_working_folders() const;

  Store store_;
  Options options_;
  bool verify_;
  std::function<void(const AddReport&)> listener_;
};

}  // namespace kinglet::excp
