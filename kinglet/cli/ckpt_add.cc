// kinglet ckpt add, pack, watch: checkpoints into a store.
#include <chrono>
#include <iostream>
#include <memory>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/log.h"
#include "kinglet/base/progress.h"
#include "kinglet/cli/ckpt.h"
#include "kinglet/cli/ckpt_compression.h"
#include "kinglet/methods/excp/run_folder.h"

namespace kinglet::cli {
namespace {

using nlohmann::json;
using Seconds = std::chrono::duration<double>;

struct AddArguments {
  std::string store, source;  // source: a checkpoint, or the folder of a run
  std::optional<std::int64_t> step;
  CompressionArguments compression;
  double settle = 10, interval = 5;  // watch
  bool once = false;
};

void warn(const std::filesystem::path& where, const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) log_warning("{}: {}", where.string(), warning);
}

excp::AddReport add_one(excp::Store& store, const std::filesystem::path& path, std::optional<std::int64_t> step,
                        const excp::AddSettings& settings) {
  excp::AddReport report = excp::add_checkpoint(store, path, step, settings);
  warn(path, report.warnings);
  return report;
}

int run_add(const AddArguments& arguments, const Globals& globals) {
  const excp::AddSettings settings = to_settings(arguments.compression);
  Checkpoint::open(arguments.source, settings.reading);  // a wrong path must not leave an empty store behind
  excp::Store store = excp::Store::open(arguments.store, excp::Store::Access::kWrite);
  const excp::AddReport report = add_one(store, arguments.source, arguments.step, settings);
  if (globals.json)
    print_json(added_json(report));
  else
    std::cout << added_line(report) << "\n";
  return 0;
}

// ---- pack --------------------------------------------------------------------------------------------------------

void warn_too_old(const std::vector<excp::RunCheckpoint>& too_old, const excp::Store& store) {
  for (const excp::RunCheckpoint& checkpoint : too_old) {
    log_warning(
        "{}: left out: older than the newest stored step {}, and a store only grows at its end; pack it into "
        "another store to keep it",
        checkpoint.path.string(), store.steps().back().step);
  }
}

json pack_json(const std::vector<excp::AddReport>& added, const excp::RunPlan& plan) {
  json result = {{"added", json::array()}, {"stored_before", json::array()}, {"left_out", json::array()}};
  for (const excp::AddReport& report : added) result["added"].push_back(added_json(report));
  for (const excp::RunCheckpoint& checkpoint : plan.stored) result["stored_before"].push_back(checkpoint.step);
  for (const excp::RunCheckpoint& checkpoint : plan.too_old) result["left_out"].push_back(checkpoint.step);
  return result;
}

std::string pack_summary(const std::vector<excp::AddReport>& added, const excp::RunPlan& plan) {
  std::uint64_t original = 0, stored = 0;
  for (const excp::AddReport& report : added) {
    original += report.info.original_bytes;
    stored += report.info.stored_bytes;
  }
  std::string text = fmt::format("{} added", added.size());
  if (!added.empty()) {
    text += fmt::format(": {} -> {} ({})", format_bytes(static_cast<double>(original)),
                        format_bytes(static_cast<double>(stored)), ratio_text(original, stored));
  }
  if (!plan.stored.empty()) text += fmt::format("; {} stored before", plan.stored.size());
  if (!plan.too_old.empty()) text += fmt::format("; {} left out", plan.too_old.size());
  return text;
}

int run_pack(const AddArguments& arguments, const Globals& globals) {
  const excp::AddSettings settings = to_settings(arguments.compression);
  const std::vector<excp::RunCheckpoint> checkpoints = excp::find_run_checkpoints(arguments.source);
  if (checkpoints.empty()) {
    throw bad_input(arguments.source, "holds no checkpoints such as 'checkpoint-500' or 'model-500.pt'",
                    "give the output folder of a run; for one checkpoint use 'kinglet ckpt add'");
  }
  excp::Store store = excp::Store::open(arguments.store, excp::Store::Access::kWrite);
  const excp::RunPlan plan = excp::plan_run(checkpoints, store.steps());
  warn_too_old(plan.too_old, store);
  std::vector<excp::AddReport> added;
  for (const excp::RunCheckpoint& checkpoint : plan.to_add) {
    check_interrupt();
    added.push_back(add_one(store, checkpoint.path, checkpoint.step, settings));
    if (!globals.json) std::cout << added_line(added.back()) << std::endl;
  }
  if (globals.json)
    print_json(pack_json(added, plan));
  else
    std::cout << pack_summary(added, plan) << "\n";
  return 0;
}

// ---- watch -------------------------------------------------------------------------------------------------------

class Watch {
 public:
  Watch(const AddArguments& arguments, const Globals& globals)
      : arguments_(arguments),
        globals_(globals),
        settings_(to_settings(arguments.compression)),
        store_(excp::Store::open(arguments.store, excp::Store::Access::kWrite)) {}

  void look() {
    const excp::RunPlan plan = excp::plan_run(excp::find_run_checkpoints(arguments_.source), store_.steps());
    const excp::ReadyCheckpoints found =
        excp::find_ready(plan.to_add, Seconds(arguments_.settle), excp::FileClock::now());
    for (const excp::RunCheckpoint& checkpoint : plan.too_old) {
      warn_once(checkpoint, "left out: older than the newest stored step");
    }
    for (const excp::RunCheckpoint& checkpoint : found.abandoned) {
      warn_once(checkpoint, "left out: it was never finished (no trainer_state.json), but a later one was");
    }
    for (const excp::RunCheckpoint& checkpoint : found.ready) {
      check_interrupt();
      if (!add(checkpoint)) return;
    }
  }

 private:
  // A checkpoint that cannot be read may still be in the making: it is tried again when something in it has changed.
  bool add(const excp::RunCheckpoint& checkpoint) {
    const excp::FileClock::time_point change = excp::last_change(checkpoint.path);
    if (failed_ && failed_->first == checkpoint.step && failed_->second == change) return false;
    try {
      print(add_one(store_, checkpoint.path, checkpoint.step, settings_));
      return true;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kBadInput || arguments_.once) throw;
      log_warning("{}; tried again when it changes", error.what());
      failed_ = {checkpoint.step, change};
      return false;
    }
  }
  void print(const excp::AddReport& report) const {
    if (globals_.json)
      std::cout << added_json(report).dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
    else
      std::cout << added_line(report) << std::endl;
  }
  void warn_once(const excp::RunCheckpoint& checkpoint, std::string_view what) {
    if (warned_.insert(checkpoint.step).second) log_warning("{}: {}", checkpoint.path.string(), what);
  }

  const AddArguments& arguments_;
  const Globals& globals_;
  excp::AddSettings settings_;
  excp::Store store_;
  std::set<std::int64_t> warned_;
  std::optional<std::pair<std::int64_t, excp::FileClock::time_point>> failed_;
};

// Returns early, by an exception, when the user interrupts.
void wait(double seconds) {
  const auto end = std::chrono::steady_clock::now() + Seconds(seconds);
  while (std::chrono::steady_clock::now() < end) {
    check_interrupt();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

int run_watch(const AddArguments& arguments, const Globals& globals) {
  excp::find_run_checkpoints(arguments.source);  // a wrong path must not leave an empty store behind
  Watch watch(arguments, globals);
  for (;;) {
    watch.look();
    if (arguments.once) return 0;
    wait(arguments.interval);
  }
}

}  // namespace

void add_ckpt_add_commands(CLI::App& ckpt, const Globals& globals) {
  auto arguments = std::make_shared<AddArguments>();
  CLI::App* add = add_command(ckpt, "add", "Add one checkpoint; it must be newer than everything stored",
                              "kinglet ckpt add run.store my-run/checkpoint-1000 --lambda 1 --verify",
                              [arguments, &globals] { return run_add(*arguments, globals); });
  add_store_argument(*add, arguments->store);
  add->add_option("checkpoint", arguments->source, "Checkpoint folder or file")->required()->type_name("CHECKPOINT");
  add->add_option("--step", arguments->step, "Training step, where the checkpoint does not tell it")->type_name("N");
  add_compression_options(*add, arguments->compression);

  arguments = std::make_shared<AddArguments>();
  CLI::App* pack =
      add_command(ckpt, "pack", "Add every checkpoint of a run, in order; steps already stored are skipped",
                  "kinglet ckpt pack run.store my-run/ --lambda 1",
                  [arguments, &globals] { return run_pack(*arguments, globals); });
  add_store_argument(*pack, arguments->store);
  pack->add_option("run", arguments->source, "Folder with checkpoint-N folders or numbered files")
      ->required()
      ->type_name("RUN_DIR");
  add_compression_options(*pack, arguments->compression);

  arguments = std::make_shared<AddArguments>();
  CLI::App* watch = add_command(
      ckpt, "watch", "Add checkpoints as a running training writes them, until interrupted; --json: a document a line",
      "kinglet ckpt watch run.store my-run/ --lambda 1 --replace",
      [arguments, &globals] { return run_watch(*arguments, globals); });
  add_store_argument(*watch, arguments->store);
  watch->add_option("run", arguments->source, "Folder that the training writes its checkpoints to")
      ->required()
      ->type_name("RUN_DIR");
  watch
      ->add_option("--settle", arguments->settle,
                   "A checkpoint is complete when nothing in it has changed for so long (10)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("SECONDS");
  watch->add_option("--interval", arguments->interval, "Look so often (5)")
      ->check(CLI::PositiveNumber)
      ->type_name("SECONDS");
  watch->add_flag("--once", arguments->once, "Look once, add what is complete, and end");
  add_compression_options(*watch, arguments->compression);
}

}  // namespace kinglet::cli
