#include "kinglet/serve/api_request.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "kinglet/serve/api_error.h"
#include "kinglet/serve/request_fields.h"
#include "kinglet/text/sorted_json.h"

namespace kinglet {
namespace {

constexpr std::int64_t kManyTokens = std::int64_t{1} << 31;
constexpr std::size_t kMostStops = 16;
constexpr std::size_t kLongestStop = 1024;
constexpr std::size_t kMostTemplateValues = 64;

nlohmann::json parse_body(std::string_view body) {
  if (body.empty()) throw ApiError(400, "The request has no body; a JSON object is expected.");
  try {
    return parse_sorted_json(body, "body");
  } catch (const Error& error) {
    throw ApiError(400, fmt::format("The request cannot be understood ({}).", error.what()), "", "invalid_json");
  }
}

void read_stop(const RequestFields& fields, GenerationRequest& request) {
  const nlohmann::json* stop = fields.find("stop");
  if (stop == nullptr) return;
  if (stop->is_string()) {
    request.stop.push_back(stop->get<std::string>());
  } else if (stop->is_array()) {
    if (stop->size() > kMostStops) throw fields.wrong("stop", fmt::format("more than {} texts", kMostStops));
    for (std::size_t i = 0; i < stop->size(); ++i) {
      const nlohmann::json& one = (*stop)[i];
      if (!one.is_string()) throw fields.wrong(fmt::format("stop[{}]", i), "expected a text", "invalid_type");
      request.stop.push_back(one.get<std::string>());
    }
  } else {
    throw fields.wrong("stop", "expected a text or a list of texts", "invalid_type");
  }
  for (const std::string& one : request.stop) {
    if (one.empty()) throw fields.wrong("stop", "an empty text would end everything at once");
    if (one.size() > kLongestStop) throw fields.wrong("stop", fmt::format("longer than {} bytes", kLongestStop));
  }
}

void read_sampling(const RequestFields& fields, GenerationRequest& request) {
  TokenChoice& choice = request.choice;
  request.has_temperature = fields.has("temperature");
  request.has_top_p = fields.has("top_p");
  choice.temperature = fields.number("temperature", 0.0, 2.0).value_or(1.0);
  choice.top_p = fields.number("top_p", 0.0, 1.0).value_or(1.0);
  if (choice.top_p == 0.0) choice.top_p = std::numeric_limits<double>::min();  // the most likely token alone
  choice.top_k = std::max<std::int64_t>(0, fields.integer("top_k", -1, kManyTokens).value_or(0));  // -1: all, too
  choice.min_p = fields.number("min_p", 0.0, 1.0).value_or(0.0);
  choice.repetition_penalty = fields.number("repetition_penalty", 0.01, 100.0).value_or(1.0);
  const auto seed =
      fields.integer("seed", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
  request.has_seed = seed.has_value();
  choice.seed = static_cast<std::uint64_t>(seed.value_or(0));
}

void refuse_unsupported(const RequestFields& fields) {
  for (const char* name : {"frequency_penalty", "presence_penalty"}) {
    if (fields.number(name, -2.0, 2.0).value_or(0.0) != 0.0) {
      throw fields.wrong(name, "not supported, use 'repetition_penalty'", "unsupported_value");
    }
  }
  for (const char* name : {"logit_bias", "tools", "functions"}) {
    const nlohmann::json* value = fields.find(name);
    if (value != nullptr && !value->empty()) throw fields.wrong(name, "not supported", "unsupported_value");
  }
  if (const auto format = fields.object("response_format")) {
    if (format->text("type").value_or("text") != "text") {
      throw format->wrong("type", "only 'text' is supported", "unsupported_value");
    }
  }
  const nlohmann::json* kinds = fields.find("modalities");
  if (kinds != nullptr && *kinds != nlohmann::json::array({"text"})) {
    throw fields.wrong("modalities", "only [\"text\"] is supported", "unsupported_value");
  }
}

void read_common(const RequestFields& fields, GenerationRequest& request) {
  request.model = fields.text("model").value_or("");
  request.max_tokens = fields.integer("max_tokens", 0, kManyTokens);
  read_sampling(fields, request);
  request.n = fields.integer("n", 1, kMostChoices).value_or(1);
  read_stop(fields, request);
  request.stream = fields.boolean("stream").value_or(false);
  if (const auto options = fields.object("stream_options")) {
    if (!request.stream) throw fields.wrong("stream_options", "only allowed when 'stream' is true");
    request.include_usage = options->boolean("include_usage").value_or(false);
  }
  refuse_unsupported(fields);
}

// A text, or a list of parts {"type": "text", "text": "..."}.
std::string read_content(const RequestFields& message) {
  const nlohmann::json* content = message.find("content");
  if (content == nullptr) return {};
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) throw message.wrong("content", "expected a text or a list of parts", "invalid_type");
  std::string text;
  for (std::size_t i = 0; i < content->size(); ++i) {
    const RequestFields part((*content)[i], message.path_of(fmt::format("content[{}]", i)));
    if (part.text("type").value_or("") != "text") throw part.wrong("type", "only 'text' is supported");
    const auto piece = part.text("text");
    if (!piece) throw part.wrong("text", "missing", "missing_required_parameter");
    text += *piece;
  }
  return text;
}

Json read_message(const RequestFields& message) {
  std::string role = message.text("role").value_or("");
  if (role == "developer") role = "system";
  if (role != "system" && role != "user" && role != "assistant") {
    throw message.wrong("role", "supported are 'system', 'developer', 'user' and 'assistant'");
  }
  for (const char* name : {"tool_calls", "function_call"}) {
    const nlohmann::json* value = message.find(name);
    if (value != nullptr && !value->empty()) throw message.wrong(name, "not supported", "unsupported_value");
  }
  if (role != "assistant" && !message.has("content")) {
    throw message.wrong("content", "missing", "missing_required_parameter");
  }
  Json result = {{"role", role}, {"content", read_content(message)}};
  if (const auto name = message.text("name")) result["name"] = *name;
  return result;
}

void read_template_values(const RequestFields& fields, ChatCompletionRequest& request) {
  const auto values = fields.object("chat_template_kwargs");
  if (!values) return;
  const nlohmann::json& all = *fields.find("chat_template_kwargs");
  if (all.size() > kMostTemplateValues) {
    throw fields.wrong("chat_template_kwargs", fmt::format("more than {} values", kMostTemplateValues));
  }
  for (const auto& [name, value] : all.items()) {
    if (value.is_structured()) throw values->wrong(name, "expected a text, a number, true or false", "invalid_type");
    request.template_values[name] = value;
  }
}

Prompt read_prompt(const RequestFields& fields, const std::string& place, const nlohmann::json& prompt) {
  if (prompt.is_string()) return prompt.get<std::string>();
  if (!prompt.is_array()) {
    throw fields.wrong(place, "expected a text, a list of texts, of tokens, or of lists of tokens", "invalid_type");
  }
  std::vector<TokenId> tokens;
  tokens.reserve(prompt.size());
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    const auto token = whole_number(prompt[i]);
    if (!token || *token < 0 || *token > std::numeric_limits<TokenId>::max()) {
      throw fields.wrong(fmt::format("{}[{}]", place, i), "expected the number of a token");
    }
    tokens.push_back(static_cast<TokenId>(*token));
  }
  return tokens;
}

void read_prompts(const RequestFields& fields, TextCompletionRequest& request) {
  const nlohmann::json* prompt = fields.find("prompt");
  if (prompt == nullptr) throw fields.wrong("prompt", "missing", "missing_required_parameter");
  const bool several = prompt->is_array() && !prompt->empty() && !prompt->front().is_number();
  if (!several) {
    request.prompts.push_back(read_prompt(fields, "prompt", *prompt));
    return;
  }
  if (prompt->size() > static_cast<std::size_t>(kMostChoices)) {
    throw fields.wrong("prompt", fmt::format("more than {} prompts", kMostChoices));
  }
  for (std::size_t i = 0; i < prompt->size(); ++i) {
    request.prompts.push_back(read_prompt(fields, fmt::format("prompt[{}]", i), (*prompt)[i]));
  }
}

}  // namespace

ChatCompletionRequest read_chat_request(std::string_view body) {
  const nlohmann::json document = parse_body(body);
  const RequestFields fields(document);
  ChatCompletionRequest request;
  read_common(fields, request);
  // The newer name wins where both are given.
  if (const auto most = fields.integer("max_completion_tokens", 0, kManyTokens)) request.max_tokens = most;
  const auto top = fields.integer("top_logprobs", 0, kMostTopLogProbabilities);
  if (fields.boolean("logprobs").value_or(false)) {
    request.top_log_probabilities = top.value_or(0);
  } else if (top.value_or(0) > 0) {
    throw fields.wrong("top_logprobs", "only allowed when 'logprobs' is true");
  }
  const nlohmann::json* messages = fields.find("messages");
  if (messages == nullptr) throw fields.wrong("messages", "missing", "missing_required_parameter");
  if (!messages->is_array()) throw fields.wrong("messages", "expected a list", "invalid_type");
  if (messages->empty()) throw fields.wrong("messages", "an empty list");
  request.messages = Json::array();
  for (std::size_t i = 0; i < messages->size(); ++i) {
    request.messages.push_back(read_message(RequestFields((*messages)[i], fmt::format("messages[{}]", i))));
  }
  read_template_values(fields, request);
  const nlohmann::json* reasoning = fields.find("reasoning");
  if (reasoning != nullptr && *reasoning == true) {
    request.reasoning = nlohmann::json::object();
  } else if (reasoning != nullptr && *reasoning != false) {
    if (!reasoning->is_object()) throw fields.wrong("reasoning", "expected an object, true or false", "invalid_type");
    request.reasoning = *reasoning;
  }
  return request;
}

TextCompletionRequest read_text_request(std::string_view body) {
  const nlohmann::json document = parse_body(body);
  const RequestFields fields(document);
  TextCompletionRequest request;
  read_common(fields, request);
  if (!request.max_tokens) request.max_tokens = 16;  // as the original has it
  read_prompts(fields, request);
  if (request.n * static_cast<std::int64_t>(request.prompts.size()) > kMostChoices) {
    throw fields.wrong("n", fmt::format("more than {} choices in all", kMostChoices));
  }
  request.echo = fields.boolean("echo").value_or(false);
  request.top_log_probabilities = fields.integer("logprobs", 0, kMostTopLogProbabilities).value_or(-1);
  if (request.echo && request.top_log_probabilities >= 0) {
    throw fields.wrong("logprobs", "not supported together with 'echo'", "unsupported_value");
  }
  if (!fields.text("suffix").value_or("").empty()) throw fields.wrong("suffix", "not supported", "unsupported_value");
  if (fields.integer("best_of", 1, kMostChoices).value_or(request.n) != request.n) {
    throw fields.wrong("best_of", "only the value of 'n' is supported", "unsupported_value");
  }
  return request;
}

}  // namespace kinglet
