// How much memory do adding, verifying and restoring a checkpoint with one huge tensor take beyond the page cache?
// Anonymous memory (RssAnon of the kernel) is sampled every millisecond. Limit: 256 MiB, however large the tensor.
//   build/bench/excp_memory [elements [threads [FOLDER]]]     536870912 elements = 2 GiB; about 22 GiB of disk
#include "kinglet/base/memory.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "bench/excp/synthetic_checkpoint.h"
#include "bench/support/scratch_folder.h"
#include "bench/support/stopwatch.h"

#include "kinglet/base/error.h"
#include "kinglet/base/parallel.h"
#include "kinglet/io/checkpoint.h"
#include "kinglet/methods/excp/store.h"

namespace {

using namespace kinglet;
namespace fs = std::filesystem;

constexpr double kMiB = 1048576;
constexpr double kLimitMiB = 256;

struct Resident {
  double anonymous = 0, all = 0;  // MiB; the difference is page cache that is mapped
};

Resident resident_now() {
  std::ifstream status("/proc/self/status");
  Resident result;
  for (std::string line; std::getline(status, line);) {
    const auto value = [&] { return std::strtod(line.c_str() + line.find(':') + 1, nullptr) / 1024; };
    if (line.starts_with("RssAnon:")) result.anonymous = value();
    if (line.starts_with("VmRSS:")) result.all = value();
  }
  return result;
}

// Largest values between reset() and peak(), seen from a thread of its own.
class MemorySampler {
 public:
  ~MemorySampler() {
    stop_ = true;
    thread_.join();
  }
  void reset() { anonymous_ = all_ = 0; }
  Resident peak() {
    look();
    return {anonymous_, all_};
  }

 private:
  void look() {
    const Resident now = resident_now();
    if (now.anonymous > anonymous_) anonymous_ = now.anonymous;
    if (now.all > all_) all_ = now.all;
  }
  std::atomic<double> anonymous_ = 0, all_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_{[this] {
    while (!stop_) {
      look();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }};
};

class Report {
 public:
  explicit Report(double raw_bytes) : raw_bytes_(raw_bytes) {
    std::printf("%-22s %9s %9s %18s %18s\n", "", "seconds", "MB/s", "anonymous, MiB", "with page cache");
  }
  void run(const char* what, const std::function<void()>& body) {
    sampler_.reset();
    const bench::Seconds seconds = bench::seconds_of(body);
    const Resident peak = sampler_.peak();
    worst_ = std::max(worst_, peak.anonymous);
    std::printf("%-22s %9.1f %9.0f %18.1f %18.1f\n", what, seconds.wall, raw_bytes_ / seconds.wall * 1e-6,
                peak.anonymous, peak.all);
    std::fflush(stdout);
  }
  double worst() const { return worst_; }

 private:
  double raw_bytes_;
  double worst_ = 0;
  MemorySampler sampler_;
};

int measure(std::uint64_t elements, const fs::path& parent) {
  const bench::ScratchFolder folder(parent);
  const double tensor_mib = 4.0 * static_cast<double>(elements) / kMiB;
  const auto checkpoint = [&](std::int64_t step) { return folder / ("checkpoint-" + std::to_string(step)); };
  std::printf("one fp32 tensor of %.0f MiB and two moments; %d threads; anonymous memory at start %.1f MiB\n",
              tensor_mib, num_threads(), resident_now().anonymous);
  excp::Options options;
  options.lambda = 1;
  const auto add = [&](std::int64_t step) {
    auto store = excp::Store::open(folder / "store", excp::Store::Access::kWrite);
    store.add(Checkpoint::open(checkpoint(step)), step, options);
  };
  Report report(3 * tensor_mib * kMiB);
  bench::write_synthetic_checkpoint(checkpoint(1), elements, 1);
  report.run("add, key frame", [&] { add(1); });
  fs::remove_all(checkpoint(1));
  bench::write_synthetic_checkpoint(checkpoint(2), elements, 2);
  report.run("add, delta", [&] { add(2); });
  fs::remove_all(checkpoint(2));
  const auto store = excp::Store::open(folder / "store", excp::Store::Access::kRead);
  report.run("verify both", [&] {
    for (const auto& step : store.verify()) {
      if (!step.ok) throw failed(store.path().string(), step.problem);
    }
  });
  report.run("restore the delta", [&] { store.get(2, folder / "restored"); });
  std::printf("peak %.1f MiB: %.3f of one array, %.2f of the limit of %.0f MiB; delta %.1fx smaller\n", report.worst(),
              report.worst() / tensor_mib, report.worst() / kLimitMiB, kLimitMiB,
              3 * tensor_mib * kMiB / static_cast<double>(store.find(2).stored_bytes));
  return report.worst() <= kLimitMiB ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  kinglet::keep_freed_memory();
  const std::uint64_t elements = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : std::uint64_t{1} << 29;
  if (argc > 2) set_num_threads(std::atoi(argv[2]));
  try {
    return measure(elements, argc > 3 ? argv[3] : "");
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
