// The entry point of `kinglet tour` in libkinglet_torch.so: prepares the output folder, runs every stop, reports.
#include <chrono>
#include <filesystem>
#include <iostream>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/cli/torch/tour_distill.h"
#include "kinglet/cli/torch/tour_excp.h"
#include "kinglet/cli/torch/tour_language.h"
#include "kinglet/cli/torch/tour_memoryformer.h"
#include "kinglet/cli/torch/tour_reasoning.h"
#include "kinglet/cli/torch/tour_refine.h"
#include "kinglet/cli/torch/tour_report.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/cli/tour_options.h"
#include "kinglet/train/torch_threads.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMarker = "kinglet-tour.json";  // shows that a folder is ours to replace

void prepare_output(const fs::path& out) {
  if (fs::exists(out) && !fs::is_empty(out)) {
    if (!fs::exists(out / kMarker)) {
      throw bad_input(out.string(), "the folder exists and is not a tour's output", "choose another one with --out");
    }
    fs::remove_all(out);
  }
  fs::create_directories(out);
  write_file_atomically(out / kMarker, as_bytes("{}\n"));
}

}  // namespace
}  // namespace kinglet::cli

extern "C" __attribute__((visibility("default"))) int kinglet_run_tour(const kinglet::cli::TourOptions& options,
                                                                       const kinglet::cli::Globals& globals) {
  using namespace kinglet;
  using namespace kinglet::cli;
  const auto start = std::chrono::steady_clock::now();
  const fs::path out = options.output;
  prepare_output(out);
  share_torch_threads();

  TourReport report;
  run_excp_stop(options, report);
  run_language_stop(options, report);
  run_memoryformer_stop(options, report);
  run_distill_stop(options, report);
  run_reasoning_stop(options, report);
  run_refine_stop(options, report);

  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report.numbers["seconds"] = report.seconds;
  write_file_atomically(out / kMarker, as_bytes(report.numbers.dump(2) + "\n"));
  write_file_atomically(out / "report.html", as_bytes(to_html(report)));
  if (globals.json) {
    print_json(report.numbers);
  } else {
    std::cout << to_terminal(report) << "report     " << (out / "report.html").string() << "\n";
  }
  return 0;
}
