// The course of a training, as recipes say it in [training], [optimizer], [schedule], [evaluation] and [checkpoints].
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "kinglet/io/recipe_reader.h"
#include "kinglet/nn/precision.h"
#include "kinglet/train/adamw.h"
#include "kinglet/train/checkpoint_sink.h"
#include "kinglet/train/schedule.h"

namespace kinglet {

// Reads what is its own of the [checkpoints] table; the result opens the sink in a folder of the run.
using SinkFactory = std::function<std::unique_ptr<CheckpointSink>(const std::filesystem::path& run)>;
using SinkKind = std::function<SinkFactory(RecipeTable& checkpoints)>;
using SinkKinds = std::map<std::string, SinkKind>;

// "plain": a Hugging Face folder a checkpoint, the newest `keep` of them.
SinkFactory read_plain_sink(RecipeTable& checkpoints);

struct CourseRecipe {
  std::int64_t steps = 0;  // 0: from epochs
  double epochs = 0;
  std::int64_t batch = 8, accumulation = 1;
  double clip = 1.0;
  nn::Precision precision = nn::Precision::kFloat32;
  bool recompute = false;

  double lr = 3e-4;
  AdamWSettings optimizer;
  Schedule schedule;          // complete once the steps are known
  double warm_up_part = 0.0;  // of all steps; or schedule.warm_up_steps

  std::int64_t evaluate_every = 0, evaluation_batches = 0, patience = 0;
  std::int64_t save_every = 0, log_every = 1;
  SinkFactory sink;
};

// Also completes the schedule. Raises Error (bad input) when it does not fit into so many steps.
void set_total_steps(CourseRecipe& recipe, std::int64_t steps);

// Raises Error (bad input) with the place of the first thing that is wrong.
void read_course(RecipeTable root, const SinkKinds& sinks, bool has_validation, CourseRecipe& recipe);

}  // namespace kinglet
