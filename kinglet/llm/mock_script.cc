#include "kinglet/llm/mock_script.h"

#include <algorithm>
#include <array>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/rng.h"
#include "kinglet/text/json_text.h"

namespace kinglet {
namespace {

constexpr std::array<std::string_view, kMockFaults> kFaultNames = {
    "none", "rate-limit", "server-error", "reset", "cut", "malformed", "empty-choices", "error-inside", "hang"};
constexpr std::array<std::string_view, 16> kWords = {"amber", "birch", "cedar", "delta", "ember", "fjord",
                                                     "grove", "haven", "inlet", "jetty", "knoll", "larch",
                                                     "marsh", "north", "ocean", "pearl"};

std::int64_t words_in(std::string_view text) {
  std::int64_t words = 0;
  bool in_word = false;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    words += !blank && !in_word;
    in_word = !blank;
  }
  return words;
}

Json usage_json(const MockRequest& request, const MockPlan& plan) {
  const auto completion = static_cast<std::int64_t>(plan.tokens.size());
  return {{"prompt_tokens", request.prompt_tokens},
          {"completion_tokens", completion},
          {"total_tokens", request.prompt_tokens + completion}};
}

Json log_prob_json(const std::string& token, std::size_t place) {
  return {{"token", token}, {"logprob", -0.125 * static_cast<double>(1 + place % 4)}, {"top_logprobs", Json::array()}};
}

Json envelope(const char* object, const MockRequest& request, const MockOptions& options) {
  return {{"id", "mock-" + request.id}, {"object", object}, {"created", 0}, {"model", options.model}};
}

const char* finish_reason(const MockPlan& plan) { return plan.cut_short ? "length" : "stop"; }

const Json kErrorInside = {{"error", {{"message", "the model stumbled"}, {"type", "server_error"}}}};

}  // namespace

std::string_view name_of(MockFault fault) { return kFaultNames.at(static_cast<std::size_t>(fault)); }

MockRequest parse_mock_request(std::string_view body) {
  const Json json = parse_json(body, "request");
  MockRequest request;
  request.id = hex64(xxh3(as_bytes(body)));
  try {
    for (const Json& message : json.at("messages")) {
      request.last_message = message.at("content").get<std::string>();
      request.prompt_tokens += 4 + words_in(request.last_message);
    }
    request.stream = json.value("stream", false);
    request.log_probs = json.value("logprobs", false);
    request.max_tokens = json.value("max_tokens", json.value("max_completion_tokens", std::int64_t{0}));
    if (json.contains("stream_options")) request.include_usage = json["stream_options"].value("include_usage", false);
  } catch (const Json::exception&) {
    throw bad_input("request", "is no chat request", "it needs 'messages', a list of objects with 'content'");
  }
  return request;
}

MockPlan plan_for(const MockRequest& request, const MockOptions& options) {
  MockPlan plan;
  plan.latency = options.latency;
  plan.token_delay = options.token_delay;
  plan.bytes_at_once = options.bytes_at_once;
  const std::uint64_t content = xxh3(as_bytes(request.id));
  Rng words(content);
  std::int64_t count = std::max(options.tokens, 0);
  if (request.max_tokens > 0 && request.max_tokens < count) {
    count = request.max_tokens;
    plan.cut_short = true;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    plan.tokens.push_back((i == 0 ? "" : " ") + std::string(kWords[words.below(kWords.size())]));
  }
  if (request.occurrence < options.max_faults_a_request) {
    double draw =
        Rng(content ^ options.seed * 0x9E3779B97F4A7C15 ^ static_cast<std::uint64_t>(request.occurrence)).uniform();
    for (const auto& [fault, rate] : options.rates) {
      if (plan.fault == MockFault::kNone && draw < rate) plan.fault = fault;
      draw -= rate;
    }
  }
  return options.script ? options.script(request, std::move(plan)) : plan;
}

std::string mock_document(const MockRequest& request, const MockPlan& plan, const MockOptions& options) {
  if (plan.fault == MockFault::kErrorInside) return kErrorInside.dump();
  Json json = envelope("chat.completion", request, options);
  std::string text;
  for (const std::string& token : plan.tokens) text += token;
  Json choice = {
      {"index", 0}, {"message", {{"role", "assistant"}, {"content", text}}}, {"finish_reason", finish_reason(plan)}};
  if (request.log_probs) {
    for (std::size_t i = 0; i < plan.tokens.size(); ++i) {
      choice["logprobs"]["content"].push_back(log_prob_json(plan.tokens[i], i));
    }
  }
  json["choices"] = Json::array();
  if (plan.fault != MockFault::kEmptyChoices) json["choices"].push_back(std::move(choice));
  json["usage"] = usage_json(request, plan);
  std::string body = json.dump();
  if (plan.fault == MockFault::kMalformed) body.insert(body.size() / 2, "}\"{");
  return body;
}

std::vector<std::string> mock_events(const MockRequest& request, const MockPlan& plan, const MockOptions& options) {
  const Json head = envelope("chat.completion.chunk", request, options);
  std::vector<std::string> events;
  const auto add = [&](Json choices, const Json* usage = nullptr) {
    Json json = head;
    json["choices"] = std::move(choices);
    if (usage != nullptr) json["usage"] = *usage;
    events.push_back("data: " + json.dump() + "\n\n");
  };
  const auto choice = [](Json delta, Json reason) {
    return Json{{"index", 0}, {"delta", std::move(delta)}, {"finish_reason", std::move(reason)}};
  };
  if (plan.fault != MockFault::kEmptyChoices) {
    add(Json::array({choice({{"role", "assistant"}, {"content", ""}}, nullptr)}));
    for (std::size_t i = 0; i < plan.tokens.size(); ++i) {
      Json part = choice({{"content", plan.tokens[i]}}, nullptr);
      if (request.log_probs) part["logprobs"]["content"].push_back(log_prob_json(plan.tokens[i], i));
      add(Json::array({std::move(part)}));
    }
    add(Json::array({choice(Json::object(), finish_reason(plan))}));
  }
  const Json usage = usage_json(request, plan);
  if (request.include_usage) add(Json::array(), &usage);
  events.emplace_back("data: [DONE]\n\n");
  if (plan.fault == MockFault::kMalformed) events[events.size() / 2].insert(8, "}\"{");
  if (plan.fault == MockFault::kErrorInside) {
    events.resize(events.size() / 2);
    events.push_back("data: " + kErrorInside.dump() + "\n\n");
  }
  return events;
}

}  // namespace kinglet
