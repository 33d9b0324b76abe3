#include "kinglet/io/inspect.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "kinglet/cli/command.h"

namespace kinglet::cli {
namespace {

struct Arguments {
  std::string path;
  InspectOptions options;
};

int run_inspect(const Arguments& arguments, const Globals& globals) {
  const Inspection inspection = inspect(arguments.path, arguments.options);
  if (globals.json)
    print_json(inspection_json(inspection));
  else
    std::cout << inspection_text(inspection);
  return 0;
}

}  // namespace

void add_inspect_command(CLI::App& app, const Globals& globals) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      add_command(app, "inspect", "Show what is in a model file, a pickle or a checkpoint; runs no code",
                  "kinglet inspect checkpoint-1000/optimizer.pt --stats",
                  [arguments, &globals] { return run_inspect(*arguments, globals); });
  command->add_option("path", arguments->path, "safetensors, GGUF, PyTorch or pickle file, or a checkpoint folder")
      ->required()
      ->type_name("FILE|FOLDER");
  command->add_flag("--stats", arguments->options.statistics,
                    "Minimum, maximum, mean, deviation, zeros, NaN of each tensor");
  command->add_flag("--pickle", arguments->options.pickle, "Print the pickled objects as an inert tree");
  command->add_option("--tensor", arguments->options.tensor, "Only this tensor, with its statistics and first elements")
      ->type_name("NAME");
  command
      ->add_option("--param-order", arguments->options.parameter_order,
                   "File with the parameter names in optimizer order, one a line")
      ->type_name("FILE");
}

}  // namespace kinglet::cli
