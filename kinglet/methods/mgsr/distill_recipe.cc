#include "kinglet/methods/mgsr/distill_recipe.h"

#include <map>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet::mgsr {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kMillion = 1'000'000;

// The defaults that make a method.
struct Method {
  const char* policy;
  double mixed_share;
  double cross_entropy, divergence, dac, span;
  const char* kind;  // of the divergence
  std::int64_t rounds = 0;
};

const std::map<std::string, Method>& methods() {
  static const std::map<std::string, Method> all = {
      {"sft", {"offline", 0.5, 1, 0, 0, 0, "forward"}},
      {"kd", {"offline", 0.5, 1, 1, 0, 0, "forward"}},
      {"seqkd", {"teacher", 0.5, 1, 0, 0, 0, "forward"}},
      {"imitkd", {"mixed", 1.0, 0, 1, 0, 0, "forward"}},
      {"gkd", {"mixed", 0.5, 0, 1, 0, 0, "jsd"}},
      {"minillm", {"on-policy", 0.5, 0, 1, 0, 0, "reverse"}},
      {"distillm", {"adaptive", 0.5, 0, 1, 0, 0, "skew-forward"}},
      {"mgsr", {"adaptive", 0.5, 1, 0, 1, 1, "forward", 1}},
  };
  return all;
}

void read_teacher(RecipeTable root, DistillRecipe& recipe) {
  RecipeTable table = root.table("teacher");
  recipe.teacher = table.optional_path("from").value_or("");
  recipe.teacher_type =
      table.choice("dtype", "fp32", {"fp32", "bf16"}) == "fp32" ? WeightType::kFloat32 : WeightType::kBFloat16;
  recipe.cache = table.optional_path("cache").value_or("");
  recipe.cache_top_k = table.integer("cache_top_k", 0, {0, kMillion});
}

void read_student(RecipeTable root, const RecipeKinds& kinds, DistillRecipe& recipe) {
  RecipeTable table = root.table("student");
  recipe.student = table.optional_path("from").value_or("");
  recipe.tokenizer = table.optional_path("tokenizer").value_or("");
  std::vector<std::string> names;
  for (const auto& [name, kind] : kinds.models) names.push_back(name);
  recipe.model = kinds.models.at(table.choice("kind", "decoder", names))(table);
}

void read_data(RecipeTable root, DistillRecipe& recipe) {
  RecipeTable table = root.table("data");
  recipe.train = table.paths("train");
  if (recipe.train.empty()) throw table.refuse("train", "is missing", "name files with instructions and responses");
  recipe.validation = table.paths("validation");
  recipe.chat = table.choice("chat", "auto", {"auto", "template", "plain"});
  recipe.reading.longest_prompt = table.integer("longest_prompt", 256, {1, kMillion});
  recipe.reading.longest = table.integer("longest", 512, {2, kMillion});
  recipe.reading.spans_field = table.text("spans_field", "");
  if (recipe.reading.longest <= recipe.reading.longest_prompt) {
    throw table.refuse("longest", "leaves no room for a response behind longest_prompt", "raise it");
  }
}

void read_loss(RecipeTable root, const Method& method, LossSettings& loss) {
  RecipeTable table = root.table("loss");
  loss.cross_entropy_weight = table.number("cross_entropy", method.cross_entropy, at_least(0.0));
  loss.divergence_weight = table.number("divergence", method.divergence, at_least(0.0));
  loss.band_weight = table.number("dac", method.dac, at_least(0.0));
  loss.span_weight = table.number("span", method.span, at_least(0.0));
  loss.divergence.kind = parse_divergence(table.choice("kind", method.kind, divergence_names()));
  loss.divergence.skew = table.number("skew", 0.1, from_up_to(0.0, 1.0));
  loss.divergence.beta =
      table.number("beta", 0.5, {.least = 0.0, .most = 1.0, .without_least = true, .without_most = true});
  loss.temperature = table.number("temperature", 1.0, above(0.0));
  loss.rows_at_once = table.integer("rows_at_once", 0, {0, kMillion});
  const bool nothing = loss.cross_entropy_weight == 0 && !loss.needs_teacher();
  if (nothing) throw table.refuse("cross_entropy", "is 0, as all other terms are", "give one of them a weight");
}

void read_dac(RecipeTable root, DistillationSettings& settings) {
  RecipeTable table = root.table("dac");
  LossSettings& loss = settings.loss;
  loss.band.coordinate = parse_coordinate(table.choice("coordinate", "log-rank", coordinate_names()));
  loss.band.softness = table.number("softness", 0.05, above(0.0));
  loss.band.renormalise = table.boolean("renormalise", true);
  loss.band.target_twice = table.boolean("target_twice", false);
  const std::string limits = table.choice("limits", "joint", {"joint", "frozen", "fixed"});
  loss.band_mode = limits == "joint" ? BandMode::kJoint : limits == "frozen" ? BandMode::kFrozen : BandMode::kFixed;
  loss.fixed_lower = table.number("lower", 0.05, between(0.0, 1.0));
  loss.fixed_upper = table.number("upper", 0.95, between(0.0, 1.0));
  if (loss.fixed_lower >= loss.fixed_upper) throw table.refuse("lower", "is not below 'upper'", "lower it");
  loss.keep_floor = table.number("keep_floor", 0.9, between(0.0, 1.0));
  loss.keep_penalty = table.number("keep_penalty", 10.0, at_least(0.0));
  settings.network_learning_rate = table.number("lr", 1e-4, above(0.0));
  settings.network_sees = table.integer("sees", 64, {1, 65536});
}

void read_spans(RecipeTable root, const std::string& field, DistillationSettings& settings) {
  RecipeTable table = root.table("spans");
  settings.spans.source =
      parse_span_source(table.choice("source", field.empty() ? "rules" : "field", span_source_names()));
  settings.spans.window = static_cast<std::size_t>(table.integer("window", 4, {2, kMillion}));
  settings.loss.distance = table.choice("distance", "euclidean", {"euclidean", "squared"}) == "euclidean"
                               ? SpanDistance::kEuclidean
                               : SpanDistance::kSquared;
  if (settings.spans.source == SpanSource::kField && field.empty()) {
    throw table.refuse("source", "is 'field', but data.spans_field names none", "name the field of the records");
  }
}

void read_sequences(RecipeTable root, const Method& method, DistillationSettings& settings) {
  RecipeTable table = root.table("sequences");
  ScheduleSettings& schedule = settings.schedule;
  schedule.policy = parse_policy(table.choice("policy", method.policy, policy_names()));
  schedule.mixed_share = table.number("mixed_share", method.mixed_share, between(0.0, 1.0));
  schedule.first_threshold = table.number("threshold", 0.0, between(0.0, 1.0));
  schedule.loss_margin = table.number("loss_margin", 0.1, at_least(0.0));
  schedule.threshold_step = table.number("threshold_step", 0.1, between(0.0, 1.0));
  schedule.trend = parse_trend(table.choice("trend", "decreasing", trend_names()));
  schedule.buffer_capacity = static_cast<std::size_t>(table.integer("buffer", 1000, {1, kMillion}));
  settings.writing.temperature = table.number("temperature", 1.0, at_least(0.0));
  settings.writing.top_p = table.number("top_p", 1.0, {.least = 0.0, .most = 1.0, .without_least = true});
  settings.writing.top_k = table.integer("top_k", 0, {0, kMillion});
  settings.always_learn_data = table.boolean("always_learn_data", false);
}

void read_scrg(RecipeTable root, const Method& method, DistillationSettings& settings) {
  RecipeTable table = root.table("scrg");
  const bool student_writes =
      settings.schedule.policy != SequencePolicy::kOffline && settings.schedule.policy != SequencePolicy::kTeacher;
  settings.revision.rounds = static_cast<int>(table.integer("rounds", student_writes ? method.rounds : 0, {0, 100}));
  settings.judging.most_likely = table.choice("teacher_token", "sample", {"sample", "argmax"}) == "argmax";
  settings.judging.divergence.kind = parse_divergence(table.choice("divergence", "forward", divergence_names()));
  settings.revision.random_position = table.boolean("random_position", false);
  settings.revision.keep_suffix = table.boolean("keep_suffix", false);
  if (settings.revision.rounds > 0 && !student_writes) {
    throw table.refuse("rounds", "asks for revisions, but the student writes nothing",
                       "set sequences.policy to on-policy, mixed or adaptive, or 0 rounds");
  }
}

void check_teacher(RecipeTable root, const DistillRecipe& recipe) {
  const DistillationSettings& settings = recipe.distillation;
  if (!recipe.teacher.empty()) return;
  const SequencePolicy policy = settings.schedule.policy;
  const bool cache_is_enough = policy == SequencePolicy::kOffline && !recipe.cache.empty() && fs::exists(recipe.cache);
  if ((settings.loss.needs_teacher() && !cache_is_enough) || policy == SequencePolicy::kTeacher ||
      settings.revision.rounds > 0) {
    throw root.table("teacher").refuse(
        "from", "is missing, but these settings need a teacher",
        "name its folder; a file of its logits (teacher.cache) is enough for the policy 'offline' only");
  }
}

}  // namespace

const std::vector<std::string>& method_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for (const auto& [name, method] : methods()) result.push_back(name);
    return result;
  }();
  return names;
}

DistillRecipe read_distill_recipe(RecipeReader& reader, const RecipeKinds& kinds, const std::string& default_name) {
  DistillRecipe recipe;
  RecipeTable root = reader.root();
  recipe.name = root.text("name", default_name);
  recipe.seed = static_cast<std::uint64_t>(root.integer("seed", 1, {0, INT64_MAX}));
  recipe.method = root.choice("method", "mgsr", method_names());
  const Method& method = methods().at(recipe.method);
  read_teacher(root, recipe);
  read_student(root, kinds, recipe);
  read_data(root, recipe);
  read_loss(root, method, recipe.distillation.loss);
  read_dac(root, recipe.distillation);
  read_spans(root, recipe.reading.spans_field, recipe.distillation);
  read_sequences(root, method, recipe.distillation);
  read_scrg(root, method, recipe.distillation);
  check_teacher(root, recipe);
  read_course(root, kinds.sinks, !recipe.validation.empty(), recipe);
  recipe.answers = root.table("evaluation").integer("answers", 0, {0, kMillion});
  return recipe;
}

}  // namespace kinglet::mgsr
