// Where a training loop puts its checkpoints. [the CheckpointSink plug]
//
// The loop writes each checkpoint as an ordinary folder (step 1) and hands it over (step 2); the sink decides what is
// kept. Implementations: PlainCheckpointSink here, the ExCP store in methods/excp/store_sink.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace kinglet {

class CheckpointSink {
 public:
  virtual ~CheckpointSink() = default;

  // An empty folder for checkpoint `step`; on the same file system as the final place.
  virtual std::filesystem::path begin(std::int64_t step) = 0;
  // The folder from begin(step) is complete. When this returns, the checkpoint survives a crash.
  virtual void commit(std::int64_t step) = 0;

  virtual std::vector<std::int64_t> steps() const = 0;  // committed, ascending
  // A folder that holds checkpoint `step` in the loop's own layout.
  virtual std::filesystem::path open(std::int64_t step) = 0;
};

}  // namespace kinglet
