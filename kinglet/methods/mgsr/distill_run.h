// A recipe of a distillation, carried out in a run folder (train/run_folder.h): what `kinglet distill` does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "kinglet/io/recipe.h"
#include "kinglet/methods/mgsr/distill_recipe.h"

namespace kinglet::mgsr {

struct DistillRunOptions {
  std::filesystem::path out;          // the run folder; empty: runs/<name of the recipe>
  bool allow_changes = false;         // see RunFolder
  bool stop_before_training = false;  // data, models and the cache of logits are made; nothing is trained
};

struct DistillRunSummary {
  std::filesystem::path folder, model;  // the student's Hugging Face folder
  std::string method;
  std::int64_t teacher_parameters = 0, student_parameters = 0, vocabulary = 0;
  ReadingReport reading;
  std::int64_t first_step = 0, steps = 0;
  // Of this process's steps, evaluations and saving left out: by the clock, and of all its threads together.
  double seconds_a_step = 0, processor_seconds_a_step = 0;
  std::optional<double> evaluation_loss, best_evaluation_loss;
  std::optional<double> divergence;  // KL(teacher || student) on the validation data
  std::optional<double> rouge_l, rouge_l_error, exact_match;
  std::uint64_t cache_bytes = 0;
};

// Begins the run or goes on with it. Raises Error: bad input for what the recipe, the data or the models say (two
// tokenizers, for example), interrupted after SIGINT (the same call goes on), failed when the loss is no number.
DistillRunSummary run_distill_recipe(Recipe recipe, const DistillRunOptions& options, const RecipeKinds& kinds);

// Raises Error (bad input) that names the first difference of two vocabularies or their special tokens.
void check_same_tokenizer(const Tokenizer& teacher, const Tokenizer& student);

}  // namespace kinglet::mgsr
