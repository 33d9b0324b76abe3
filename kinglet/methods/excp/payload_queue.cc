#include "kinglet/methods/excp/payload_queue.h"

#include "kinglet/base/interrupt.h"
#include "kinglet/base/parallel.h"

namespace kinglet::excp {
namespace {

// Enough work for every thread to be busy, little enough that the payloads of one round stay small.
constexpr std::uint64_t kBytesPerThread = std::uint64_t{16} << 20;
constexpr std::size_t kJobsPerThread = 64;

}  // namespace

void PayloadQueue::add(Job job) {
  waiting_bytes_ += job.input_bytes;
  jobs_.push_back(std::move(job));
  const auto threads = static_cast<std::uint64_t>(num_threads());
  if (waiting_bytes_ >= threads * kBytesPerThread || jobs_.size() >= threads * kJobsPerThread) flush();
}

void PayloadQueue::flush() {
  std::vector<Bytes> payloads(jobs_.size());
  parallel_for(static_cast<std::int64_t>(jobs_.size()), [&](std::int64_t i) {
    check_interrupt();
    const Job& job = jobs_[static_cast<std::size_t>(i)];
    job.encode(payloads[static_cast<std::size_t>(i)]);
    progress_.advance(job.input_bytes);
  });
  for (std::size_t i = 0; i < jobs_.size(); ++i) {
    if (jobs_[i].placed) jobs_[i].placed(writer_.position(), payloads[i].size());
    writer_.append(payloads[i]);
  }
  jobs_.clear();
  waiting_bytes_ = 0;
}

void PayloadQueue::run_alone(std::uint64_t input_bytes, const std::function<void(StepWriter&)>& write_pieces) {
  flush();
  write_pieces(writer_);
  progress_.advance(input_bytes);
}

}  // namespace kinglet::excp
