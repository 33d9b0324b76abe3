// A training as recipes lay it down: checkpoints and resuming (training_run.h), the log, the progress bar, the best and
// the final model. What `kinglet train` and `kinglet distill` have in common.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "kinglet/io/metrics.h"
#include "kinglet/train/course_recipe.h"
#include "kinglet/train/training_run.h"

namespace kinglet {

// Of a trainer; the objective is left out.
LanguageSettings trainer_settings(const CourseRecipe& recipe);

// What differs between trainings. The first two may be empty.
struct CourseHooks {
  std::function<NamedNumbers(const StepReport&)> step_numbers;  // more numbers for the log, when a step is logged
  // More numbers for the log of an evaluation.
  std::function<NamedNumbers(const EvaluationReport&)> evaluation_numbers;
  std::function<void(const std::filesystem::path& model)> add_tokenizer;  // its files, into the folder of a model
};

struct CourseReport {
  std::int64_t first_step = 0, steps = 0;
  double seconds = 0;  // of everything, in this process
  // Of this process's steps, evaluations and saving left out: by the clock, and of all its threads together.
  double stepping_seconds = 0, processor_seconds = 0;
  std::int64_t stepped_tokens = 0;
  // From the log, so earlier processes count.
  std::optional<double> loss, evaluation_loss, best_evaluation_loss;
  std::optional<std::int64_t> best_step;
};

// The evaluation of a course; no data: none.
struct CourseEvaluation {
  const LanguageData* data = nullptr;
  std::int64_t batches = 0;
};

// Carries the course out in `folder`: log and loss curve, best/ and model/, checkpoints as the recipe says. `what` is
// shown beside the progress bar, `name` above the curve. With a group every process calls it, and only rank 0 writes.
// Raises what run_training() raises.
CourseReport run_course(const CourseRecipe& recipe, const std::filesystem::path& folder, const std::string& name,
                        const std::string& what, LanguageTrainer& trainer, const CourseEvaluation& evaluation,
                        const CourseHooks& hooks, ProcessGroup* group = nullptr);

}  // namespace kinglet
