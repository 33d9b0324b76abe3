// The entry point of `kinglet distill` in libkinglet_torch.so.
#include <iostream>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/progress.h"
#include "kinglet/cli/torch/recipe_kinds.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/cli/train_options.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/methods/mgsr/distill_run.h"
#include "kinglet/train/torch_threads.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;
using mgsr::DistillRunSummary;
using nlohmann::ordered_json;

void print_summary_json(const DistillRunSummary& summary) {
  const auto number = [](const auto& value) { return value ? ordered_json(*value) : ordered_json(); };
  const ordered_json result = {{"folder", summary.folder.string()},
                               {"model", summary.model.string()},
                               {"method", summary.method},
                               {"teacher_parameters", summary.teacher_parameters},
                               {"student_parameters", summary.student_parameters},
                               {"vocabulary_size", summary.vocabulary},
                               {"examples", summary.reading.examples},
                               {"long_prompts", summary.reading.long_prompts},
                               {"cut_responses", summary.reading.cut_responses},
                               {"empty_responses", summary.reading.empty_responses},
                               {"cache_bytes", summary.cache_bytes},
                               {"first_step", summary.first_step},
                               {"steps", summary.steps},
                               {"seconds_a_step", summary.seconds_a_step},
                               {"eval_loss", number(summary.evaluation_loss)},
                               {"best_eval_loss", number(summary.best_evaluation_loss)},
                               {"eval_divergence", number(summary.divergence)},
                               {"rouge_l", number(summary.rouge_l)},
                               {"rouge_l_error", number(summary.rouge_l_error)},
                               {"exact_match", number(summary.exact_match)}};
  std::cout << result.dump(2) << "\n";
}

void print_summary(const DistillRunSummary& summary, bool trained) {
  const auto line = [](std::string_view name, const std::string& value) {
    std::cout << fmt::format("{:<11} {}\n", name, value);
  };
  const auto millions = [](std::int64_t count) { return static_cast<double>(count) * 1e-6; };
  line("method", summary.method);
  if (summary.teacher_parameters > 0)
    line("teacher", fmt::format("{:.2f} M parameters", millions(summary.teacher_parameters)));
  line("student",
       fmt::format("{:.2f} M parameters, vocabulary {}", millions(summary.student_parameters), summary.vocabulary));
  line("data", fmt::format("{} examples", summary.reading.examples));
  if (summary.cache_bytes > 0) line("cache", format_bytes(static_cast<double>(summary.cache_bytes)));
  if (!trained) {
    line("steps", fmt::format("{} would be made", summary.steps));
    return;
  }
  std::string steps = fmt::format("{}, {:.3f} s each", summary.steps - summary.first_step, summary.seconds_a_step);
  if (summary.first_step > 0) steps += fmt::format(", from step {} on", summary.first_step);
  line("steps", steps);
  if (summary.evaluation_loss) {
    line("validation", fmt::format("{:.3f}, best {:.3f}", *summary.evaluation_loss, *summary.best_evaluation_loss));
  }
  if (summary.divergence) line("divergence", fmt::format("{:.3f} nats a token from the teacher", *summary.divergence));
  if (summary.rouge_l) {
    line("answers", fmt::format("ROUGE-L {:.2f} +- {:.2f}, {:.1f} % exact ({})", 100 * *summary.rouge_l,
                                100 * *summary.rouge_l_error, 100 * *summary.exact_match,
                                (summary.folder / "answers.jsonl").string()));
  }
  line("curve", (summary.folder / "loss.svg").string());
  line("saved", summary.model.string());
}

}  // namespace
}  // namespace kinglet::cli

extern "C" __attribute__((visibility("default"))) int kinglet_run_distill(const kinglet::cli::TrainOptions& options,
                                                                          const kinglet::cli::Globals& globals) {
  using namespace kinglet;
  using namespace kinglet::cli;
  share_torch_threads();
  register_memoryformer();
  const RecipeKinds kinds = recipe_kinds();
  Recipe recipe = Recipe::load(options.recipe);
  for (const std::string& assignment : options.sets) recipe.set(assignment);
  if (options.print_recipe) {
    RecipeReader reader(std::move(recipe));
    mgsr::read_distill_recipe(reader, kinds, fs::path(options.recipe).stem().string());
    reader.finish();
    std::cout << reader.resolved_text();
    return 0;
  }
  mgsr::DistillRunOptions run;
  run.out = options.out;
  run.allow_changes = options.allow_changes;
  run.stop_before_training = options.dry_run;
  const DistillRunSummary summary = mgsr::run_distill_recipe(std::move(recipe), run, kinds);
  if (globals.json)
    print_summary_json(summary);
  else
    print_summary(summary, !options.dry_run);
  return 0;
}
