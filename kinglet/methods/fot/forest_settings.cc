#include "kinglet/methods/fot/forest_settings.h"

#include <array>
#include <charconv>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet::fot {
namespace {

constexpr std::array<std::string_view, 5> kBases = {"io", "cot", "tot-bfs", "tot-dfs", "mctsr"};
constexpr std::array<std::string_view, 5> kDecisions = {"cged", "majority", "score", "random", "expert"};
constexpr std::array<std::string_view, 3> kStepRules = {"none", "left", "exact"};
constexpr int kMostTrees = 1024;
constexpr std::size_t kMostStopTexts = 16;  // as endpoints allow

template <typename Enum, std::size_t count>
std::optional<Enum> find_name(const std::array<std::string_view, count>& names, std::string_view name) {
  for (std::size_t i = 0; i < count; ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

void require(bool holds, std::string_view field, std::string_view what) {
  if (!holds) throw bad_input(field, what);
}

}  // namespace

std::string_view name_of(Base base) { return kBases[static_cast<std::size_t>(base)]; }

Base base_of_name(std::string_view name) {
  if (const auto base = find_name<Base>(kBases, name)) return *base;
  throw bad_input("--base", fmt::format("'{}' is not known", name), "io, cot, tot-bfs, tot-dfs or mctsr");
}

std::string_view name_of(Decision decision) { return kDecisions[static_cast<std::size_t>(decision)]; }

Decision decision_of_name(std::string_view name) {
  if (const auto decision = find_name<Decision>(kDecisions, name)) return *decision;
  throw bad_input("--decision", fmt::format("'{}' is not known", name), "cged, majority, score, random or expert");
}

void check(const ForestSettings& settings) {
  require(settings.trees >= 1 && settings.trees <= kMostTrees, "--trees", "must be from 1 to 1024");
  require(settings.width >= 0, "--width", "must not be negative");
  require(settings.tau > 0 && settings.tau <= 1, "--tau", "must be above 0 and at most 1");
  require(settings.kept >= 1, "--kept", "must be at least 1");
  require(settings.proposals >= 1 && settings.proposals <= 100, "--proposals", "must be from 1 to 100");
  require(settings.rollouts >= 0 && settings.rollouts <= 1000, "--rollouts", "must be from 0 to 1000");
  require(settings.max_children >= 1, "--max-children", "must be at least 1");
  require(settings.branch >= 1 && settings.branch <= 100, "--branch", "must be from 1 to 100");
  require(settings.depth >= 1 && settings.depth <= 100, "--depth", "must be from 1 to 100");
  require(settings.temperature >= 0 && settings.temperature <= 2, "--temperature", "must be from 0 to 2");
  require(settings.reward_scale > 0, "--reward-scale", "must be above 0");
  require(settings.max_tokens >= 1, "--max-tokens", "must be at least 1");
  require(settings.expert_max_tokens >= 1, "--expert-max-tokens", "must be at least 1");
  require(settings.stop_texts.size() <= kMostStopTexts, "--stop-text", "at most 16 can be given");
  for (const std::string& text : settings.stop_texts) require(!text.empty(), "--stop-text", "must not be empty");
  require(settings.most_calls >= 0 && settings.most_tokens >= 0, "--budget-tokens", "must not be negative");
}

Json settings_to_json(const ForestSettings& settings) {
  Json json = {{"base", name_of(settings.base)},
               {"trees", settings.trees},
               {"width", settings.width},
               {"stop", to_text(settings.stop)},
               {"decision", name_of(settings.decision)},
               {"seed", settings.seed},
               {"shuffle", settings.shuffle},
               {"examples", settings.examples},
               {"same_example", settings.same_example},
               {"correction", settings.correction},
               {"tau", settings.tau},
               {"step_rules", kStepRules[static_cast<std::size_t>(settings.step_rules)]},
               {"allow_fractions", settings.allow_fractions},
               {"kept", settings.kept},
               {"drop_impossible", settings.drop_impossible},
               {"proposals", settings.proposals},
               {"rollouts", settings.rollouts},
               {"max_children", settings.max_children},
               {"exploration", settings.exploration},
               {"reward_scale", settings.reward_scale},
               {"accept_reward", settings.accept_reward},
               {"branch", settings.branch},
               {"depth", settings.depth},
               {"end_gate", settings.end_gate},
               {"temperature", settings.temperature},
               {"max_tokens", settings.max_tokens},
               {"expert_max_tokens", settings.expert_max_tokens},
               {"expert_may_answer", settings.expert_may_answer},
               {"fallback", settings.fallback},
               {"compact_prompts", settings.compact_prompts},
               {"most_calls", settings.most_calls},
               {"most_tokens", settings.most_tokens}};
  if (settings.top_p) json["top_p"] = *settings.top_p;
  if (!settings.stop_texts.empty()) json["stop_texts"] = settings.stop_texts;
  return json;
}

ForestSettings arm_settings(std::string_view arm, const ForestSettings& settings) {
  const auto refuse = [&] {
    return bad_input("--arms", fmt::format("'{}' is no arm", arm), "for example cot, sc:9, fot-cot:4 or fot-mctsr:4");
  };
  ForestSettings result = settings;
  const std::size_t colon = arm.find(':');
  std::string_view name = arm.substr(0, colon);
  result.trees = 1;
  if (colon != std::string_view::npos) {
    const std::string_view number = arm.substr(colon + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), result.trees);
    if (error != std::errc() || end != number.data() + number.size()) throw refuse();
  }
  // A plain arm: equal prompts, no correction, ties by the first tree, every sample taken.
  const bool forest = name.starts_with("fot-");
  if (forest) name.remove_prefix(4);
  if (name == "sc") name = "cot";
  const auto base = find_name<Base>(kBases, name);
  if (!base) throw refuse();
  result.base = *base;
  if (!forest) {
    result.correction = false;
    result.examples = result.shuffle = false;
    result.decision = Decision::kMajority;
    result.stop = {StopRule::kNone};
  }
  check(result);
  return result;
}

}  // namespace kinglet::fot
