// kinglet ckpt get, import-official: checkpoints in the user's own layout.
#include <iostream>
#include <memory>

#include <fmt/format.h>

#include "kinglet/base/log.h"
#include "kinglet/cli/ckpt.h"
#include "kinglet/methods/excp/official.h"

namespace kinglet::cli {
namespace {

struct GetArguments {
  std::string store, output;
  std::int64_t step = 0;
  excp::GetOptions options;
};

int run_get(const GetArguments& arguments, const Globals& globals) {
  const excp::Store store = open_store(arguments.store);
  const std::vector<std::string> problems = store.get(arguments.step, arguments.output, arguments.options);
  for (const std::string& problem : problems) log_warning("{}", problem);
  if (globals.json) {
    print_json({{"step", arguments.step}, {"out", arguments.output}, {"problems", problems}});
  } else {
    std::cout << fmt::format("step {} -> {}{}\n", arguments.step, arguments.output,
                             problems.empty() ? "" : fmt::format(" ({} parts are damaged)", problems.size()));
  }
  return problems.empty() ? 0 : 1;
}

struct ImportArguments {
  std::string compressed, reference, output, param_order;
};

int run_import(const ImportArguments& arguments, const Globals& globals) {
  CheckpointOptions reading;
  reading.parameter_order = arguments.param_order;
  const Checkpoint reference = Checkpoint::open(arguments.reference, reading);
  const excp::OfficialReport report = excp::import_official(arguments.compressed, reference, arguments.output);
  log_warning(
      "{}: step, learning rate and everything else but weights and moments are the reference's, as the "
      "published format has nothing else",
      arguments.output);
  if (report.lost_second_moments > 0) {
    log_warning("{}: {} second moments are 0 where the first moment is not: the format's fp16 centres cannot hold them",
                arguments.output, report.lost_second_moments);
  }
  for (const std::string& name : report.kept_from_reference) {
    log_warning("{}: tensor '{}' is not in the compressed file; the reference's is kept", arguments.output, name);
  }
  if (globals.json) {
    print_json({{"out", arguments.output},
                {"parameters", report.parameters},
                {"elements", report.elements},
                {"lost_second_moments", report.lost_second_moments},
                {"kept_from_reference", report.kept_from_reference}});
  } else {
    std::cout << fmt::format("{}: {} parameters, {} elements\n", arguments.output, report.parameters, report.elements);
  }
  return 0;
}

}  // namespace

void add_ckpt_get_commands(CLI::App& ckpt, const Globals& globals) {
  auto get = std::make_shared<GetArguments>();
  CLI::App* command = add_command(ckpt, "get", "Restore a checkpoint: same files, names, dtypes and param_groups",
                                  "kinglet ckpt get run.store --step 1000 checkpoint-1000",
                                  [get, &globals] { return run_get(*get, globals); });
  add_store_argument(*command, get->store);
  command->add_option("out", get->output, "New folder (or file, where the checkpoint was one file)")
      ->required()
      ->type_name("OUT");
  command->add_option("--step", get->step, "Training step")->required()->type_name("N");
  CLI::Option* tensor = command->add_option("--tensor", get->options.tensor,
                                            "Only this parameter and its moments, as one safetensors file");
  tensor->type_name("NAME");
  command->add_flag("--weights-only", get->options.weights_only, "Leave out the files that hold moments")
      ->excludes(tensor);
  command->add_flag("--salvage", get->options.salvage,
                    "Write what is intact of a damaged step, NaN or 0 elsewhere; exit code 1");

  auto import = std::make_shared<ImportArguments>();
  command =
      add_command(ckpt, "import-official", "Rebuild a checkpoint from the compressed.pt of the published ExCP tool",
                  "kinglet ckpt import-official compressed.pt --reference checkpoint-1000 checkpoint-2000",
                  [import, &globals] { return run_import(*import, globals); });
  command->add_option("compressed", import->compressed, "File written by the published tool")
      ->required()
      ->type_name("COMPRESSED");
  command->add_option("out", import->output, "New folder or file, in the reference's layout")
      ->required()
      ->type_name("OUT");
  command->add_option("--reference", import->reference, "The checkpoint just before it, as rebuilt")
      ->required()
      ->type_name("CHECKPOINT");
  add_param_order_option(*command, import->param_order);
}

}  // namespace kinglet::cli
