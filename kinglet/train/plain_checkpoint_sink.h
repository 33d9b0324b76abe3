// Checkpoints as plain folders: root/checkpoint-<step>, the layout of the Hugging Face Trainer.
#pragma once

#include "kinglet/train/checkpoint_sink.h"

namespace kinglet {

// commit() flushes every file, then renames the folder into place, so that a folder with the final name is complete.
class PlainCheckpointSink : public CheckpointSink {
 public:
  // `root` is created when missing; leftovers of dead runs are removed. commit() removes all but the newest `keep`
  // checkpoints; 0: none.
  explicit PlainCheckpointSink(std::filesystem::path root, std::int64_t keep = 0);

  std::filesystem::path begin(std::int64_t step) override;
  void commit(std::int64_t step) override;
  std::vector<std::int64_t> steps() const override;
  std::filesystem::path open(std::int64_t step) override;

 private:
  std::filesystem::path final_path(std::int64_t step) const;
  std::filesystem::path working_path(std::int64_t step) const;

  void remove_old() const;

  std::filesystem::path root_;
  std::int64_t keep_;
};

}  // namespace kinglet
