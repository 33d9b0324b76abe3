// How fast does a store take in and give back whole checkpoints from the page cache, on one core and on all, and how
// far is that from the floor: reading the files once (adding), copying them (restoring)?
//   build/bench/excp_store                 made-up checkpoints of one 256 MiB tensor and its moments
//   build/bench/excp_store RUN             the checkpoint-N folders of a run
//   build/bench/excp_store RUN FOLDER      scratch files below FOLDER
#include "kinglet/methods/excp/store.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "bench/excp/synthetic_checkpoint.h"
#include "bench/support/scratch_folder.h"
#include "bench/support/stopwatch.h"

#include "kinglet/base/error.h"
#include "kinglet/base/memory.h"
#include "kinglet/base/parallel.h"
#include "kinglet/io/checkpoint.h"

namespace {

using namespace kinglet;
using namespace kinglet::excp;
namespace fs = std::filesystem;

constexpr int kRepeats = 3;

std::vector<fs::path> checkpoints_of(const fs::path& run) {
  std::vector<std::pair<std::int64_t, fs::path>> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(run)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("checkpoint-")) found.emplace_back(std::stoll(name.substr(11)), entry.path());
  }
  std::sort(found.begin(), found.end());
  std::vector<fs::path> paths;
  for (const auto& [step, path] : found) paths.push_back(path);
  return paths;
}

double bytes_in(const fs::path& folder) {
  double bytes = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += static_cast<double>(entry.file_size());
  }
  return bytes;
}

// Reads every byte of a checkpoint through a memory map.
void read_once(const fs::path& folder) {
  volatile std::uint64_t sink = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.file_size() == 0) continue;
    const MappedFile file(entry.path());
    std::uint64_t lanes[8] = {}, total = 0;
    for (std::size_t at = 0; at + sizeof(lanes) <= file.bytes().size(); at += sizeof(lanes)) {
      std::uint64_t words[8];
      std::memcpy(words, file.bytes().data() + at, sizeof(words));
      for (int lane = 0; lane < 8; ++lane) lanes[lane] += words[lane];
    }
    for (const std::uint64_t lane : lanes) total += lane;
    sink = sink + total;
  }
}

struct Measured {
  bench::Seconds add, get;  // of all delta steps; medians over repeats
  double delta_bytes = 0;   // stored, a step
};

class Bench {
 public:
  Bench(std::vector<fs::path> checkpoints, const fs::path& scratch)
      : checkpoints_(std::move(checkpoints)), scratch_(scratch) {
    if (checkpoints_.size() < 2) throw bad_input("excp_store", "a run of at least two checkpoints is needed");
    for (std::size_t i = 1; i < checkpoints_.size(); ++i) raw_bytes_ += bytes_in(checkpoints_[i]);
  }

  void run() {
    const auto each_delta = [&](const std::function<void(const fs::path&)>& body) {
      for (std::size_t i = 1; i < checkpoints_.size(); ++i) body(checkpoints_[i]);
    };
    for (const fs::path& checkpoint : checkpoints_) read_once(checkpoint);  // into the page cache
    const double read = bench::cpu_seconds_of([&] { each_delta(read_once); });
    const double copy = bench::cpu_seconds_of([&] {
      fs::remove_all(scratch_ / "copy");
      fs::create_directories(scratch_ / "copy");
      each_delta([&](const fs::path& path) { fs::copy(path, scratch_ / "copy" / path.filename()); });
    });
    std::printf("%zu deltas of %.1f MB; floors of one core: reading once %.2f GB/s, copying %.2f GB/s\n",
                checkpoints_.size() - 1, raw_bytes_ * 1e-6 / static_cast<double>(checkpoints_.size() - 1),
                raw_bytes_ / read * 1e-9, raw_bytes_ / copy * 1e-9);
    std::printf("%-12s %7s %10s %10s %9s %10s %10s %9s %9s\n", "", "threads", "add, wall", "a core", "of floor",
                "get, wall", "a core", "of floor", "ratio");
    const int all = num_threads();
    for (const bool lossless : {false, true}) {
      for (const double lambda : lossless ? std::vector<double>{0} : std::vector<double>{0.5, 1, 2.5}) {
        for (const int threads : {1, all}) {
          set_num_threads(threads);
          Options options;
          options.lossless = lossless;
          if (!lossless) options.lambda = lambda;
          const std::string name = lossless ? "lossless" : fmt::format("lambda {}", lambda);
          print(name, threads, measure(options), read, copy);
        }
      }
    }
  }

 private:
  Measured measure(const Options& options) {
    std::vector<double> add_wall, add_cpu, get_wall, get_cpu;
    Measured result;
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
      const fs::path path = scratch_ / "store", out = scratch_ / "out";
      fs::remove_all(path);
      Store store = Store::open(path, Store::Access::kWrite);
      std::int64_t step = 1;
      store.add(Checkpoint::open(checkpoints_.front()), step, options);
      bench::Seconds add, get;
      double stored = 0;
      for (std::size_t i = 1; i < checkpoints_.size(); ++i) {
        const auto seconds = bench::seconds_of([&] { store.add(Checkpoint::open(checkpoints_[i]), ++step, options); });
        add.wall += seconds.wall;
        add.cpu += seconds.cpu;
        stored += static_cast<double>(store.find(step).stored_bytes);
      }
      result.delta_bytes = stored / static_cast<double>(checkpoints_.size() - 1);
      for (std::int64_t s = 2; s <= step; ++s) {
        fs::remove_all(out);
        const auto seconds = bench::seconds_of([&] { store.get(s, out); });
        get.wall += seconds.wall;
        get.cpu += seconds.cpu;
      }
      add_wall.push_back(add.wall);
      add_cpu.push_back(add.cpu);
      get_wall.push_back(get.wall);
      get_cpu.push_back(get.cpu);
    }
    result.add = {bench::median(add_wall), bench::median(add_cpu)};
    result.get = {bench::median(get_wall), bench::median(get_cpu)};
    return result;
  }

  void print(const std::string& name, int threads, const Measured& m, double read, double copy) const {
    const auto rate = [&](double seconds) { return raw_bytes_ / seconds * 1e-9; };
    std::printf("%-12s %7d %10.3f %10.3f %8.0f%% %10.3f %10.3f %8.0f%% %9.1f\n", name.c_str(), threads,
                rate(m.add.wall), rate(m.add.cpu), 100 * read / m.add.cpu, rate(m.get.wall), rate(m.get.cpu),
                100 * copy / m.get.cpu, raw_bytes_ / static_cast<double>(checkpoints_.size() - 1) / m.delta_bytes);
    std::fflush(stdout);
  }

  std::vector<fs::path> checkpoints_;
  fs::path scratch_;
  double raw_bytes_ = 0;  // of the deltas
};

}  // namespace

int main(int argc, char** argv) {
  kinglet::keep_freed_memory();
  try {
    const bench::ScratchFolder scratch(argc > 2 ? argv[2] : "");
    if (argc > 1) {
      Bench(checkpoints_of(argv[1]), scratch.path()).run();
    } else {
      for (const std::int64_t step : {1, 2}) {
        bench::write_synthetic_checkpoint(scratch / ("checkpoint-" + std::to_string(step)), std::uint64_t{1} << 26,
                                          step);
      }
      Bench(checkpoints_of(scratch.path()), scratch.path()).run();
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
