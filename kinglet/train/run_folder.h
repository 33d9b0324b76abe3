// The folder of a training run:
//
//   recipe.toml     every setting, defaults filled in     metrics.jsonl, tensorboard/, loss.svg   what was measured
//   data/           imported data, token corpora          tokenizer/                              as it was learnt or
//   given checkpoints/    or checkpoints.store/                  best/, model/                           Hugging Face
//   folders lock            held by the process that trains
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/base/file_lock.h"
#include "kinglet/io/metrics.h"
#include "kinglet/io/recipe.h"
#include "kinglet/io/tensorboard.h"

namespace kinglet {

class RunFolder {
 public:
  // A new or empty folder begins a run with the recipe. One with a recipe goes on when the two say the same; what
  // changes nothing about the course (evaluation, saving, logging) may differ, the rest of optimizer, schedule and
  // training only with `allow_changes`. Until something was trained there (a first try may have been refused) only
  // data, tokenizer and seed are held to, from which data was prepared. Raises Error (bad input) for other changes,
  // naming them, and for folders that hold something else; Error (failed) when another process trains there.
  RunFolder(std::filesystem::path path, const RecipeValue::Table& recipe, bool allow_changes);

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::unique_ptr<FileLock> lock_;
};

// metrics.jsonl, the TensorBoard events and the loss curve of a run.
class RunLog {
 public:
  // Measurements of later steps than `resumed_step` are taken back: they will come again.
  RunLog(const std::filesystem::path& run, std::string title, std::int64_t resumed_step);

  void write(std::int64_t step, const NamedNumbers& values);
  void draw() const;  // loss.svg, from all that was written so far

  // The losses of all evaluations so far, in order.
  std::vector<double> evaluations() const;

 private:
  std::filesystem::path run_;
  std::string title_;
  MetricsWriter metrics_;
  TensorboardWriter tensorboard_;
};

// "eval_loss": the name of evaluation losses in metrics.jsonl.
inline constexpr const char* kEvaluationLoss = "eval_loss";

}  // namespace kinglet
