#include "kinglet/serve/reasoning_request.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kinglet/io/recipe_table.h"
#include "kinglet/serve/api_error.h"
#include "kinglet/serve/api_frame.h"
#include "kinglet/serve/request_fields.h"

namespace kinglet {
namespace {

constexpr std::string_view kForestPrefix = "fot-";
constexpr std::int64_t kMostBudgetTokens = std::int64_t{1} << 31;

const std::vector<std::string>& known_keys() {
  static const std::vector<std::string> keys = {"task",
                                                "base",
                                                "trees",
                                                "width",
                                                "stop",
                                                "decision",
                                                "rollouts",
                                                "kept",
                                                "branch",
                                                "depth",
                                                "tau",
                                                "correction",
                                                "shuffle",
                                                "drop_impossible",
                                                "fallback",
                                                "trace",
                                                "step_rules",
                                                "allow_fractions",
                                                "budget_calls",
                                                "budget_tokens",
                                                "compact_prompts"};
  return keys;
}

void refuse_unknown_keys(const RequestFields& fields, const nlohmann::json& object) {
  for (const auto& [key, value] : object.items()) {
    const std::vector<std::string>& known = known_keys();
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = nearest_name(key, known);
    throw fields.wrong(printable(key),
                       near.empty() ? fmt::format("not known; known are {}", fmt::join(known, ", "))
                                    : fmt::format("not known; did you mean '{}'?", near),
                       "unknown_field");
  }
}

// What the method refuses by the name of its option becomes the client's mistake, by the name of the field.
template <typename Read>
auto read_as(const RequestFields& fields, std::string_view field, const Read& read) {
  try {
    return read();
  } catch (const ApiError&) {
    throw;
  } catch (const Error& error) {
    std::string_view what = error.what();
    if (what.starts_with("--")) what.remove_prefix(std::min(what.find(": ") + 2, what.size()));
    throw fields.wrong(field, what);
  }
}

fot::StepRules step_rules_of(const RequestFields& fields) {
  const std::string name = fields.text("step_rules").value_or("exact");
  if (name == "none") return fot::StepRules::kNone;
  if (name == "left") return fot::StepRules::kLeftOnly;
  if (name == "exact") return fot::StepRules::kExact;
  throw fields.wrong("step_rules", "expected 'exact', 'left' or 'none'");
}

template <typename Number>
void read_integer(const RequestFields& fields, std::string_view field, std::int64_t low, std::int64_t high,
                  Number& value) {
  if (const auto given = fields.integer(field, low, high)) value = static_cast<Number>(*given);
}

void read_boolean(const RequestFields& fields, std::string_view field, bool& value) {
  value = fields.boolean(field).value_or(value);
}

void read_search(const RequestFields& fields, const ReasoningLimits& limits, ReasoningRequest& request) {
  fot::ForestSettings& settings = request.settings;
  request.task = read_as(fields, "task", [&] { return fot::task_of_name(fields.text("task").value_or("generic")); });
  const bool game24 = request.task == fot::Task::kGame24;
  settings.base = read_as(fields, "base",
                          [&] { return fot::base_of_name(fields.text("base").value_or(game24 ? "tot-bfs" : "cot")); });
  if (const auto stop = fields.text("stop")) {
    settings.stop = read_as(fields, "stop", [&] { return fot::parse_stop_policy(*stop); });
  }
  if (const auto decision = fields.text("decision")) {
    settings.decision = read_as(fields, "decision", [&] { return fot::decision_of_name(*decision); });
  }
  settings.step_rules = step_rules_of(fields);
  settings.trees = static_cast<int>(std::min<std::int64_t>(settings.trees, limits.trees));
  read_integer(fields, "trees", 1, limits.trees, settings.trees);
  read_integer(fields, "width", 0, limits.trees, settings.width);
  read_integer(fields, "rollouts", 0, 1000, settings.rollouts);
  read_integer(fields, "kept", 1, 100, settings.kept);
  read_integer(fields, "branch", 1, 100, settings.branch);
  read_integer(fields, "depth", 1, 100, settings.depth);
  if (const auto tau = fields.number("tau", 1e-6, 1.0)) settings.tau = *tau;
  read_boolean(fields, "correction", settings.correction);
  read_boolean(fields, "shuffle", settings.shuffle);
  read_boolean(fields, "drop_impossible", settings.drop_impossible);
  read_boolean(fields, "allow_fractions", settings.allow_fractions);
  read_boolean(fields, "compact_prompts", settings.compact_prompts);
  settings.fallback = fields.boolean("fallback").value_or(true);
  read_integer(fields, "budget_tokens", 1, kMostBudgetTokens, settings.most_tokens);
  settings.most_calls = limits.calls;
  read_integer(fields, "budget_calls", 1, limits.calls, settings.most_calls);
  request.trace = fields.boolean("trace").value_or(false);
}

ApiError unsupported(const char* field, std::string_view what) {
  return {400, fmt::format("Invalid value for '{}': {}.", field, what), field, "unsupported_value"};
}

void read_generation(const ChatCompletionRequest& asked, ReasoningRequest& request) {
  if (asked.n > 1) throw unsupported("n", "a forest gives one merged answer");
  if (asked.top_log_probabilities >= 0) throw unsupported("logprobs", "a merged answer has none");
  if (!asked.template_values.empty()) throw unsupported("chat_template_kwargs", "not together with reasoning");
  fot::ForestSettings& settings = request.settings;
  if (asked.has_temperature) settings.temperature = asked.choice.temperature;
  if (asked.has_top_p) settings.top_p = asked.choice.top_p;
  if (asked.max_tokens) settings.max_tokens = *asked.max_tokens;
  settings.stop_texts = asked.stop;
  // Seeds that doubles can hold: servers read them as numbers.
  settings.seed = asked.has_seed ? asked.choice.seed : random_number() >> 16;
  request.stream = asked.stream;
  request.include_usage = asked.include_usage;
}

// A forest has one question. What was said before belongs to it.
std::string question_of(const Json& messages) {
  if (messages.back()["role"] != "user") throw unsupported("messages", "the last message must be the user's");
  std::string before;
  bool dialogue = false;
  for (std::size_t i = 0; i + 1 < messages.size(); ++i) {
    const std::string role = messages[i]["role"], content = messages[i]["content"];
    if (content.empty()) continue;
    if (role == "system") {
      before += content + "\n\n";
    } else {
      before += (role == "user" ? "User: " : "Assistant: ") + content + "\n";
      dialogue = true;
    }
  }
  return before + (dialogue ? "User: " : "") + messages.back()["content"].get<std::string>();
}

}  // namespace

std::string forest_name(std::string_view model) { return std::string(kForestPrefix) + std::string(model); }

ReasoningRequest read_reasoning(const ChatCompletionRequest& asked, const ReasoningLimits& limits,
                                std::int64_t max_tokens) {
  const nlohmann::json object = asked.reasoning.value_or(nlohmann::json::object());
  const RequestFields fields(object, "reasoning");
  refuse_unknown_keys(fields, object);
  ReasoningRequest request;
  read_search(fields, limits, request);
  read_generation(asked, request);
  fot::ForestSettings& settings = request.settings;
  if (max_tokens > 0) settings.max_tokens = std::min(settings.max_tokens, max_tokens);
  settings.expert_max_tokens = settings.max_tokens;
  request.question = {"question", question_of(asked.messages)};
  return request;
}

}  // namespace kinglet
