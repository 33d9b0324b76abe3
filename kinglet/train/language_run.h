// A recipe, carried out in a run folder (train/run_folder.h): what `kinglet train` does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "kinglet/io/recipe.h"
#include "kinglet/train/language_recipe.h"

namespace kinglet {

struct LanguageRunOptions {
  std::filesystem::path out;          // the run folder; empty: runs/<name of the recipe>
  bool allow_changes = false;         // see RunFolder
  bool stop_before_training = false;  // data, tokenizer and model are made and measured; nothing is trained
};

struct LanguageRunSummary {
  std::filesystem::path folder, model;  // the final Hugging Face folder
  std::int64_t parameters = 0;
  std::int64_t vocabulary_size = 0;
  std::int64_t training_tokens = 0;  // in the corpus
  std::int64_t first_step = 0;       // > 0: the run went on from there
  std::int64_t steps = 0;
  double seconds = 0.0;            // of training, in this process
  double tokens_per_second = 0.0;  // over the steps of this process, evaluations and saving left out
  std::optional<double> loss, evaluation_loss, best_evaluation_loss;
  std::optional<std::int64_t> best_step;
};

// Begins the run or goes on with it. With several processes (process_group.h) each calls it with the same arguments;
// only rank 0 writes. Raises Error: bad input for what the recipe or the data says, interrupted after SIGINT (the same
// call goes on), failed when the loss is no number or a checkpoint cannot be saved; what was saved before stays.
LanguageRunSummary run_language_recipe(Recipe recipe, const LanguageRunOptions& options, const RecipeKinds& kinds);

}  // namespace kinglet
