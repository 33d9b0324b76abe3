// The entry point of `kinglet train` in libkinglet_torch.so.
#include <iostream>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/progress.h"
#include "kinglet/cli/torch/recipe_kinds.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/cli/train_options.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/train/language_run.h"
#include "kinglet/train/process_group.h"
#include "kinglet/train/torch_threads.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

Recipe load_recipe(const TrainOptions& options) {
  Recipe recipe = Recipe::load(options.recipe);
  for (const std::string& assignment : options.sets) recipe.set(assignment);
  return recipe;
}

void print_summary_json(const LanguageRunSummary& summary) {
  const auto number = [](const auto& value) { return value ? ordered_json(*value) : ordered_json(); };
  const ordered_json result = {{"folder", summary.folder.string()},
                               {"model", summary.model.string()},
                               {"parameters", summary.parameters},
                               {"vocabulary_size", summary.vocabulary_size},
                               {"training_tokens", summary.training_tokens},
                               {"first_step", summary.first_step},
                               {"steps", summary.steps},
                               {"seconds", summary.seconds},
                               {"tokens_per_second", summary.tokens_per_second},
                               {"loss", number(summary.loss)},
                               {"eval_loss", number(summary.evaluation_loss)},
                               {"best_eval_loss", number(summary.best_evaluation_loss)},
                               {"best_step", number(summary.best_step)}};
  std::cout << result.dump(2) << "\n";
}

void print_summary(const LanguageRunSummary& summary, bool trained) {
  const auto line = [](std::string_view name, const std::string& value) {
    std::cout << fmt::format("{:<11} {}\n", name, value);
  };
  line("model", fmt::format("{:.2f} M parameters, vocabulary {}", static_cast<double>(summary.parameters) * 1e-6,
                            summary.vocabulary_size));
  line("data", fmt::format("{:.2f} M tokens", static_cast<double>(summary.training_tokens) * 1e-6));
  if (!trained) {
    line("steps", fmt::format("{} would be made", summary.steps));
    return;
  }
  std::string steps = fmt::format("{} in {}", summary.steps - summary.first_step, format_duration(summary.seconds));
  if (summary.first_step > 0) steps += fmt::format(", from step {} on", summary.first_step);
  if (summary.tokens_per_second > 0) steps += fmt::format(", {:.0f} tokens/s", summary.tokens_per_second);
  line("steps", steps);
  if (summary.loss) line("loss", fmt::format("{:.3f}", *summary.loss));
  if (summary.evaluation_loss) {
    line("validation",
         fmt::format("{:.3f}; best {:.3f} at step {} ({})", *summary.evaluation_loss, *summary.best_evaluation_loss,
                     *summary.best_step, (summary.folder / "best").string()));
  }
  line("curve", (summary.folder / "loss.svg").string());
  line("saved", summary.model.string());
  line("try", fmt::format("kinglet generate --model {} --prompt TEXT", summary.model.string()));
}

}  // namespace
}  // namespace kinglet::cli

extern "C" __attribute__((visibility("default"))) int kinglet_run_train(const kinglet::cli::TrainOptions& options,
                                                                        const kinglet::cli::Globals& globals) {
  using namespace kinglet;
  using namespace kinglet::cli;
  share_torch_threads();
  register_memoryformer();
  const RecipeKinds kinds = recipe_kinds();
  Recipe recipe = load_recipe(options);
  if (options.print_recipe) {
    RecipeReader reader(std::move(recipe));
    read_language_recipe(reader, kinds, fs::path(options.recipe).stem().string());
    reader.finish();
    std::cout << reader.resolved_text();
    return 0;
  }
  LanguageRunOptions run;
  run.out = options.out;
  run.allow_changes = options.allow_changes;
  run.stop_before_training = options.dry_run;
  const LanguageRunSummary summary = run_language_recipe(std::move(recipe), run, kinds);
  if (process_layout_from_environment().rank != 0) return 0;
  if (globals.json)
    print_summary_json(summary);
  else
    print_summary(summary, !options.dry_run);
  return 0;
}
