// kinglet ckpt list, info, verify, export-plot: what a store holds and whether it is sound.
#include <iostream>
#include <memory>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/log.h"
#include "kinglet/base/progress.h"
#include "kinglet/base/table.h"
#include "kinglet/cli/ckpt.h"
#include "kinglet/methods/excp/chain_plot.h"

namespace kinglet::cli {
namespace {

using nlohmann::json;
using Align = Table::Align;

struct LookArguments {
  std::string store, output;
  std::optional<std::int64_t> step;
  bool rebuild_manifest = false;
};

std::string bytes_text(std::uint64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

// ---- list --------------------------------------------------------------------------------------------------------

struct Totals {
  std::uint64_t original = 0, stored = 0;
};

Totals totals_of(const std::vector<excp::StepInfo>& steps) {
  Totals totals;
  for (const excp::StepInfo& info : steps) {
    totals.original += info.original_bytes;
    totals.stored += info.stored_bytes;
  }
  return totals;
}

int run_list(const LookArguments& arguments, const Globals& globals) {
  const excp::Store store = open_store(arguments.store);
  const Totals totals = totals_of(store.steps());
  if (globals.json) {
    json steps = json::array();
    for (const excp::StepInfo& info : store.steps()) steps.push_back(step_json(info));
    print_json({{"steps", steps}, {"original_bytes", totals.original}, {"stored_bytes", totals.stored}});
    return 0;
  }
  Table table({{"step", Align::kRight},
               {"kind"},
               {"parent", Align::kRight},
               {"original", Align::kRight},
               {"stored", Align::kRight},
               {"ratio", Align::kRight}});
  for (const excp::StepInfo& info : store.steps()) {
    table.add_row({std::to_string(info.step), kind_text(info), info.parent ? std::to_string(*info.parent) : "",
                   bytes_text(info.original_bytes), bytes_text(info.stored_bytes),
                   ratio_text(info.original_bytes, info.stored_bytes)});
  }
  if (!table.empty()) std::cout << table.to_text();
  std::cout << fmt::format("{} steps, {} -> {} ({})\n", store.steps().size(), bytes_text(totals.original),
                           bytes_text(totals.stored), ratio_text(totals.original, totals.stored));
  return 0;
}

// ---- info --------------------------------------------------------------------------------------------------------

std::int64_t newest_step(const excp::Store& store) {
  if (store.steps().empty()) throw bad_input(store.path().string(), "the store holds no steps yet");
  return store.steps().back().step;
}

Table tensor_table(const std::vector<excp::TensorRecord>& tensors) {
  Table table({{"tensor"},
               {"shape"},
               {"dtype"},
               {"coding"},
               {"lambda", Align::kRight},
               {"weights kept", Align::kRight},
               {"moments kept", Align::kRight},
               {"unchanged", Align::kRight},
               {"weight error", Align::kRight},
               {"original", Align::kRight},
               {"stored", Align::kRight},
               {"ratio", Align::kRight}});
  for (const excp::TensorRecord& tensor : tensors) {
    const bool pruned = tensor.coding == "delta";
    const auto if_pruned = [&](std::string text) { return pruned ? std::move(text) : std::string(); };
    table.add_row({printable(tensor.name), shape_text(tensor.shape), std::string(dtype_name(tensor.dtype)),
                   tensor.coding, if_pruned(fmt::format("{:.3g}", tensor.lambda)),
                   if_pruned(percent_text(tensor.weight_density)), if_pruned(percent_text(tensor.moment_density)),
                   if_pruned(percent_text(tensor.unchanged)), if_pruned(percent_text(excp::weight_error({tensor}))),
                   bytes_text(tensor.original_bytes), bytes_text(tensor.stored_bytes),
                   ratio_text(tensor.original_bytes, tensor.stored_bytes)});
  }
  return table;
}

void print_info(const excp::StepDetails& details) {
  const excp::StepInfo& info = details.info;
  std::cout << fmt::format("step {}: {}{}, {} -> {} ({}), weight error {}\n", info.step, kind_text(info),
                           info.parent ? fmt::format(" to step {}", *info.parent) : "", bytes_text(info.original_bytes),
                           bytes_text(info.stored_bytes), ratio_text(info.original_bytes, info.stored_bytes),
                           percent_text(excp::weight_error(details.tensors)));
  if (!details.settings.empty()) std::cout << "settings: " << printable(details.settings) << "\n";
  if (!details.key_reason.empty()) std::cout << "key frame: " << printable(details.key_reason) << "\n";
  std::cout << "\n" << tensor_table(details.tensors).to_text();
  for (const excp::TensorRecord& tensor : details.tensors) {
    if (tensor.fallback.empty()) continue;
    std::cout << fmt::format("{}: kept losslessly, {}\n", printable(tensor.name), printable(tensor.fallback));
  }
  Table files({{"file"}, {"original", Align::kRight}});
  for (const auto& file : details.files) files.add_row({printable(file.name), bytes_text(file.original_bytes)});
  std::cout << "\n" << files.to_text();
}

json info_json(const excp::StepDetails& details) {
  json result = step_json(details.info);
  result["settings"] = details.settings;
  result["key_reason"] = details.key_reason.empty() ? json(nullptr) : json(details.key_reason);
  result["weight_error"] = number_json(excp::weight_error(details.tensors));
  result["tensors"] = json::array();
  for (const excp::TensorRecord& tensor : details.tensors) result["tensors"].push_back(tensor_json(tensor));
  result["files"] = json::array();
  for (const auto& file : details.files) {
    result["files"].push_back({{"name", file.name}, {"original_bytes", file.original_bytes}});
  }
  return result;
}

int run_info(const LookArguments& arguments, const Globals& globals) {
  const excp::Store store = open_store(arguments.store);
  const excp::StepDetails details = store.details(arguments.step ? *arguments.step : newest_step(store));
  if (globals.json)
    print_json(info_json(details));
  else
    print_info(details);
  return 0;
}

// ---- verify ------------------------------------------------------------------------------------------------------

int run_verify(const LookArguments& arguments, const Globals& globals) {
  std::vector<std::string> left_out;
  if (arguments.rebuild_manifest) {
    left_out = excp::Store::rebuild_manifest(arguments.store);
    for (const std::string& line : left_out) log_warning("{}", line);
  }
  const excp::Store store = open_store(arguments.store);
  const std::vector<excp::Store::VerifyReport> reports = store.verify(arguments.step);
  bool ok = left_out.empty();
  json steps = json::array();
  for (const auto& report : reports) {
    ok = ok && report.ok;
    steps.push_back({{"step", report.step}, {"ok", report.ok}});
    if (!report.ok) steps.back()["problem"] = report.problem;
    if (!globals.json) {
      std::cout << fmt::format("step {:>8}  {}\n", report.step, report.ok ? "ok" : printable(report.problem));
    }
  }
  if (globals.json) {
    json result = {{"ok", ok}, {"steps", steps}};
    if (arguments.rebuild_manifest) result["left_out"] = left_out;
    print_json(result);
  }
  return ok ? 0 : 1;
}

// ---- export-plot -------------------------------------------------------------------------------------------------

int run_export_plot(const LookArguments& arguments, const Globals& globals) {
  const excp::Store store = open_store(arguments.store);
  newest_step(store);
  const std::vector<excp::ChainPoint> points = excp::chain_points(store);
  const Totals totals = totals_of(store.steps());
  const std::string title =
      fmt::format("{} checkpoints, {} stored in {} ({})", points.size(), bytes_text(totals.original),
                  bytes_text(totals.stored), ratio_text(totals.original, totals.stored));
  write_file_atomically(arguments.output, as_bytes(excp::chain_svg(title, points)));
  if (!globals.json) {
    std::cout << fmt::format("{}: {} steps\n", arguments.output, points.size());
    return 0;
  }
  json steps = json::array();
  for (const excp::ChainPoint& point : points) {
    steps.push_back({{"step", point.step},
                     {"key", point.key},
                     {"original_bytes", point.original_bytes},
                     {"stored_bytes", point.stored_bytes},
                     {"weight_error", number_json(point.weight_error)}});
  }
  print_json({{"file", arguments.output}, {"steps", steps}});
  return 0;
}

}  // namespace

void add_ckpt_look_commands(CLI::App& ckpt, const Globals& globals) {
  auto arguments = std::make_shared<LookArguments>();
  const auto command = [&](const char* name, const char* description, const char* example,
                           int (*run)(const LookArguments&, const Globals&)) {
    arguments = std::make_shared<LookArguments>();
    CLI::App* added =
        add_command(ckpt, name, description, example, [arguments, run, &globals] { return run(*arguments, globals); });
    add_store_argument(*added, arguments->store);
    return added;
  };
  CLI::App* list = command("list", "The steps of a store with their sizes", "kinglet ckpt list run.store", run_list);
  list->alias("ls");

  CLI::App* info = command("info", "One step, tensor by tensor: coding, lambda, what was kept, error, size",
                           "kinglet ckpt info run.store --step 1000", run_info);
  info->add_option("--step", arguments->step, "Training step (the newest)")->type_name("N");

  CLI::App* verify = command("verify", "Decode everything and compare with the checksums; exit code 1 on damage",
                             "kinglet ckpt verify run.store", run_verify);
  verify->add_option("--step", arguments->step, "Only this step and what it needs")->type_name("N");
  verify->add_flag("--rebuild-manifest", arguments->rebuild_manifest,
                   "First write manifest.json anew from the step files that are intact");

  CLI::App* plot = command("export-plot", "Sizes and weight errors along the chain as an SVG picture",
                           "kinglet ckpt export-plot run.store chain.svg", run_export_plot);
  plot->add_option("out", arguments->output, "File to write")->required()->type_name("OUT.svg");
}

}  // namespace kinglet::cli
