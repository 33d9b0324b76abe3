#include "kinglet/train/course_recipe.h"

#include "kinglet/base/error.h"
#include "kinglet/train/plain_checkpoint_sink.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kMillion = 1'000'000;

void read_checkpoints(RecipeTable root, const SinkKinds& kinds, CourseRecipe& recipe) {
  RecipeTable checkpoints = root.table("checkpoints");
  recipe.save_every = checkpoints.integer("every", 500, {0, 1000 * kMillion});
  std::vector<std::string> names;
  for (const auto& [name, kind] : kinds) names.push_back(name);
  const std::string kind = checkpoints.choice("kind", "plain", names);
  recipe.sink = kinds.at(kind)(checkpoints);
}

void read_training(RecipeTable root, CourseRecipe& recipe) {
  RecipeTable table = root.table("training");
  recipe.steps = table.integer("steps", 0, {0, 1000 * kMillion});
  recipe.epochs = table.number("epochs", 0.0, between(0.0, 1e6));
  if ((recipe.steps == 0) == (recipe.epochs == 0)) {
    throw table.refuse("steps", "and 'epochs': one of them says how long the training is", "set exactly one");
  }
  recipe.batch = table.integer("batch", 8, {1, kMillion});
  recipe.accumulation = table.integer("accumulation", 1, {1, kMillion});
  recipe.clip = table.number("clip", 1.0, at_least(0.0));
  recipe.precision = table.choice("precision", "fp32", {"fp32", "bf16"}) == "fp32" ? nn::Precision::kFloat32
                                                                                   : nn::Precision::kBFloat16;
  recipe.recompute = table.boolean("recompute", false);
  recipe.log_every = table.integer("log_every", 10, {1, 1000 * kMillion});
}

void read_optimizer(RecipeTable root, CourseRecipe& recipe) {
  RecipeTable table = root.table("optimizer");
  recipe.lr = table.number("lr", 3e-4, above(0.0));
  const std::vector<double> betas = table.numbers("betas", {0.9, 0.95}, from_up_to(0.0, 1.0));
  if (betas.size() != 2) throw table.refuse("betas", "must be two numbers");
  recipe.optimizer.beta1 = betas[0];
  recipe.optimizer.beta2 = betas[1];
  recipe.optimizer.eps = table.number("eps", 1e-8, above(0.0));
  recipe.optimizer.weight_decay = table.number("weight_decay", 0.1, at_least(0.0));
}

void read_schedule(RecipeTable root, CourseRecipe& recipe) {
  RecipeTable table = root.table("schedule");
  recipe.schedule.kind = parse_schedule(table.choice("kind", "cosine", schedule_names()));
  recipe.schedule.warm_up_steps = table.integer("warm_up_steps", 0, {0, 1000 * kMillion});
  recipe.warm_up_part = table.number("warm_up_part", 0.0, between(0.0, 1.0));
  if (recipe.schedule.warm_up_steps > 0 && recipe.warm_up_part > 0) {
    throw table.refuse("warm_up_part", "stands beside 'warm_up_steps'", "set one of them");
  }
  recipe.schedule.minimum_ratio = table.number("minimum_ratio", 0.1, between(0.0, 1.0));
  recipe.schedule.decay_steps = table.integer("decay_steps", 0, {0, 1000 * kMillion});
  const std::string decay = table.choice("decay", "linear", {"linear", "cosine", "square_root"});
  recipe.schedule.decay = decay == "linear"   ? Schedule::Decay::kLinear
                          : decay == "cosine" ? Schedule::Decay::kCosine
                                              : Schedule::Decay::kSquareRoot;
  // What can be refused before data is prepared, is.
  if (recipe.steps > 0) set_total_steps(recipe, recipe.steps);
}

void read_evaluation(RecipeTable root, bool has_validation, CourseRecipe& recipe) {
  RecipeTable table = root.table("evaluation");
  recipe.evaluate_every = table.integer("every", 0, {0, 1000 * kMillion});
  recipe.evaluation_batches = table.integer("batches", 0, {0, 1000 * kMillion});
  recipe.patience = table.integer("patience", 0, {0, kMillion});
  if (recipe.evaluate_every > 0 && !has_validation) {
    throw table.refuse("every", "asks for evaluations, but there is no validation data",
                       "name files in data.validation, or set data.validation_part");
  }
  if (recipe.patience > 0 && recipe.evaluate_every == 0) {
    throw table.refuse("patience", "counts evaluations, but there are none", "set evaluation.every");
  }
}

}  // namespace

SinkFactory read_plain_sink(RecipeTable& checkpoints) {
  const std::int64_t keep = checkpoints.integer("keep", 2, {0, kMillion});
  return [keep](const fs::path& run) { return std::make_unique<PlainCheckpointSink>(run / "checkpoints", keep); };
}

void set_total_steps(CourseRecipe& recipe, std::int64_t steps) {
  recipe.steps = steps;
  recipe.schedule.total_steps = steps;
  if (recipe.warm_up_part > 0) recipe.schedule.warm_up_steps = steps_of_ratio(recipe.warm_up_part, steps);
  recipe.schedule.check();
}

void read_course(RecipeTable root, const SinkKinds& sinks, bool has_validation, CourseRecipe& recipe) {
  read_training(root, recipe);
  read_optimizer(root, recipe);
  read_schedule(root, recipe);
  read_evaluation(root, has_validation, recipe);
  read_checkpoints(root, sinks, recipe);
}

}  // namespace kinglet
