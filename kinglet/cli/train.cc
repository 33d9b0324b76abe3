// kinglet train: a recipe becomes a run folder with a model.
#include <memory>

#include <fmt/format.h>

#include "kinglet/cli/command.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/cli/train_options.h"

namespace kinglet::cli {

void add_train_options(CLI::App& command, TrainOptions& options, const std::string& page, const std::string& prepared) {
  command.add_option("recipe", options.recipe, "The recipe (" + page + " has the keys)")
      ->required()
      ->type_name("FILE.toml");
  command.add_option("--out", options.out, "The run folder (runs/<name of the recipe>)")->type_name("FOLDER");
  command.add_option("--set", options.sets, "Change a key of the recipe; may be given again")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.add_flag("--allow-changes", options.allow_changes,
                   "Go on although optimizer, schedule or training settings differ from those of the run");
  command.add_flag("--dry-run", options.dry_run, "Prepare " + prepared + ", and stop");
  command.add_flag("--print-recipe", options.print_recipe, "Print the recipe with every default filled in, and stop");
}

void add_train_command(CLI::App& app, const Globals& globals) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command =
      add_command(app, "train", "Train a language model as a recipe says; called again, it goes on",
                  "kinglet train recipes/lm-tiny.toml --out my-run", [options, &globals] {
                    return reinterpret_cast<TrainEntry*>(find_torch_entry(kTrainEntryName))(*options, globals);
                  });
  add_train_options(*command, *options, "docs/training.md", "data, tokenizer and model");
  command
      ->add_option_function<double>(
          "--max-table-gb",
          [options](double gigabytes) { options->sets.push_back(fmt::format("model.max_table_gb={}", gigabytes)); },
          "What the tables of a MemoryFormer may take in memory (all that the machine has)")
      ->type_name("GB")
      ->check(CLI::PositiveNumber);
}

}  // namespace kinglet::cli
