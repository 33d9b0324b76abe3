// kinglet distill: a recipe, a teacher and instruction data become a student.
#include <memory>

#include "kinglet/cli/command.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/cli/train_options.h"

namespace kinglet::cli {

void add_distill_command(CLI::App& app, const Globals& globals) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command = add_command(
      app, "distill", "Distil a language model into a smaller one (MGSR and its baselines); called again, it goes on",
      "kinglet distill recipes/distill-words.toml --set method=mgsr --out my-student", [options, &globals] {
        return reinterpret_cast<TrainEntry*>(find_torch_entry(kDistillEntryName))(*options, globals);
      });
  command->add_option("recipe", options->recipe, "The recipe (docs/mgsr.md has the keys)")
      ->required()
      ->type_name("FILE.toml");
  command->add_option("--out", options->out, "The run folder (runs/<name of the recipe>)")->type_name("FOLDER");
  command->add_option("--set", options->sets, "Change a key of the recipe; may be given again")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_flag("--allow-changes", options->allow_changes,
                    "Go on although optimizer, schedule or training settings differ from those of the run");
  command->add_flag("--dry-run", options->dry_run, "Prepare data, models and the cache of logits, and stop");
  command->add_flag("--print-recipe", options->print_recipe, "Print the recipe with every default filled in, and stop");
}

}  // namespace kinglet::cli
