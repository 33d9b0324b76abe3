// Coded pieces are made in parallel and written one after another, in the order in which they were added. Only a few
// wait in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kinglet/base/progress.h"
#include "kinglet/methods/excp/step_file.h"

namespace kinglet::excp {

class PayloadQueue {
 public:
  struct Job {
    std::uint64_t input_bytes = 0;               // for the progress bar and the memory bound
    std::function<void(Bytes& payload)> encode;  // appends; may run in any thread
    std::function<void(std::uint64_t offset, std::uint64_t length)> placed;  // where the payload went; may be empty
  };

  PayloadQueue(StepWriter& writer, Progress& progress) : writer_(writer), progress_(progress) {}

  void add(Job job);
  void flush();  // everything added so far is written; call before destruction

  // For a piece that is parallel inside: waits for the others, then lets `write_pieces` append itself.
  void run_alone(std::uint64_t input_bytes, const std::function<void(StepWriter&)>& write_pieces);

 private:
  StepWriter& writer_;
  Progress& progress_;
  std::vector<Job> jobs_;
  std::uint64_t waiting_bytes_ = 0;
};

}  // namespace kinglet::excp
