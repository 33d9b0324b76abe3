#include "kinglet/io/inspect.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "kinglet/cli/command.h"
#include "kinglet/cli/inspect_cost.h"

namespace kinglet::cli {
namespace {

struct InspectionArguments {
  std::string path;
  InspectOptions options;
  bool cost = false;
  std::int64_t tokens = 2048;
};

int run_inspection(const InspectionArguments& arguments, const Globals& globals) {
  if (arguments.cost) {
    print_model_cost(arguments.path, arguments.tokens, globals.json);
    return 0;
  }
  const Inspection inspection = inspect(arguments.path, arguments.options);
  if (globals.json)
    print_json(inspection_json(inspection));
  else
    std::cout << inspection_text(inspection);
  return 0;
}

}  // namespace

void add_inspect_command(CLI::App& app, const Globals& globals) {
  auto arguments = std::make_shared<InspectionArguments>();
  CLI::App* command =
      add_command(app, "inspect", "Show what is in a model file, a pickle or a checkpoint; runs no code",
                  "kinglet inspect checkpoint-1000/optimizer.pt --stats",
                  [arguments, &globals] { return run_inspection(*arguments, globals); });
  command->add_option("path", arguments->path, "safetensors, GGUF, PyTorch or pickle file, or a checkpoint folder")
      ->required()
      ->type_name("FILE|FOLDER");
  command->add_flag("--stats", arguments->options.statistics,
                    "Minimum, maximum, mean, deviation, zeros, NaN of each tensor");
  command->add_flag("--cost", arguments->cost,
                    "Multiply-adds of a language model on a sequence, and the bytes that a token makes it read");
  command->add_option("--seq", arguments->tokens, "Tokens of that sequence (2048)")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 30));
  command->add_flag("--pickle", arguments->options.pickle, "Print the pickled objects as an inert tree");
  command->add_option("--tensor", arguments->options.tensor, "Only this tensor, with its statistics and first elements")
      ->type_name("NAME");
  command
      ->add_option("--param-order", arguments->options.parameter_order,
                   "File with the parameter names in optimizer order, one a line")
      ->type_name("FILE");
}

}  // namespace kinglet::cli
