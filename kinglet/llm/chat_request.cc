#include "kinglet/llm/chat_request.h"

#include <cmath>

#include "kinglet/base/error.h"
#include "kinglet/base/sha256.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

constexpr std::int64_t kMessageOverhead = 16;  // tokens of a template around a message, more than any known one adds

void check_text(const std::string& text, const std::string& field) {
  if (!utf8::is_valid(text)) throw bad_input(field, "is not valid UTF-8", "replace the damaged bytes");
}

void check_range(double value, double low, double high, const char* field) {
  if (!(value >= low && value <= high)) throw bad_input(field, fmt::format("must be from {} to {}", low, high));
}

Json messages_json(const ChatRequest& request) {
  Json messages = Json::array();
  for (const ChatMessage& message : request.messages) {
    messages.push_back({{"role", message.role}, {"content", message.content}});
  }
  return messages;
}

// Everything in the body but how it is delivered.
Json content_json(const ChatRequest& request, const RequestStyle& style) {
  Json body = {{"model", style.model}, {"messages", messages_json(request)}};
  if (request.temperature) body["temperature"] = *request.temperature;
  if (request.top_p) body["top_p"] = *request.top_p;
  if (request.max_tokens)
    body[style.max_completion_tokens ? "max_completion_tokens" : "max_tokens"] = *request.max_tokens;
  if (request.seed) body["seed"] = *request.seed;
  if (!request.stop.empty()) body["stop"] = request.stop;
  if (request.log_probs) body["logprobs"] = true;
  if (request.top_log_probs > 0) body["top_logprobs"] = request.top_log_probs;
  if (request.json_schema) {
    body["response_format"] = {
        {"type", "json_schema"},
        {"json_schema", {{"name", "reply"}, {"strict", true}, {"schema", *request.json_schema}}}};
  }
  if (request.extra.is_object()) body.update(request.extra);
  return body;
}

std::string dumped(const Json& json) {
  try {
    return json.dump();
  } catch (const Json::exception&) {
    throw bad_input("request", "holds text that is not valid UTF-8", "replace the damaged bytes");
  }
}

std::string key_of(Json content, const ChatRequest& request, std::string_view endpoint, const std::string* slot) {
  Json all = {{"request", std::move(content)}, {"sample", request.sample}};
  if (!endpoint.empty()) all["endpoint"] = endpoint;
  if (slot != nullptr) all["slot"] = *slot;
  const nlohmann::json sorted = all;  // this kind of object sorts its keys
  try {
    return sha256_hex(as_bytes(sorted.dump()));
  } catch (const nlohmann::json::exception&) {
    throw bad_input("request", "holds text that is not valid UTF-8", "replace the damaged bytes");
  }
}

}  // namespace

void check_request(const ChatRequest& request) {
  if (request.messages.empty()) throw bad_input("messages", "is empty", "give at least one message");
  for (std::size_t i = 0; i < request.messages.size(); ++i) {
    const ChatMessage& message = request.messages[i];
    if (message.role.empty()) throw bad_input(fmt::format("messages[{}].role", i), "is empty", "for example 'user'");
    check_text(message.role, fmt::format("messages[{}].role", i));
    check_text(message.content, fmt::format("messages[{}].content", i));
  }
  for (const std::string& text : request.stop) {
    if (text.empty()) throw bad_input("stop", "holds an empty text");
    check_text(text, "stop");
  }
  check_text(request.slot, "slot");
  check_text(request.role, "role");
  if (request.temperature) check_range(*request.temperature, 0, 100, "temperature");
  if (request.top_p) check_range(*request.top_p, 0, 1, "top_p");
  if (request.max_tokens && *request.max_tokens < 1) throw bad_input("max_tokens", "must be at least 1");
  if (request.top_log_probs < 0 || request.top_log_probs > 20) throw bad_input("top_log_probs", "must be from 0 to 20");
  if (request.top_log_probs > 0 && !request.log_probs) throw bad_input("top_log_probs", "needs log_probs");
  if (!request.extra.is_null() && !request.extra.is_object()) throw bad_input("extra", "must be a JSON object");
}

std::string request_body(const ChatRequest& request, const RequestStyle& style) {
  Json body = content_json(request, style);
  if (request.stream) {
    body["stream"] = true;
    if (style.include_usage) body["stream_options"] = {{"include_usage", true}};
  }
  return dumped(body);
}

std::string run_key(const ChatRequest& request, std::string_view endpoint, std::string_view model) {
  return key_of(content_json(request, {.model = std::string(model)}), request, endpoint, &request.slot);
}

std::string content_key(const ChatRequest& request, std::string_view model) {
  return key_of(content_json(request, {.model = std::string(model)}), request, {}, nullptr);
}

std::int64_t prompt_token_bound(const ChatRequest& request) {
  std::int64_t tokens = kMessageOverhead;
  for (const ChatMessage& message : request.messages) {
    tokens += kMessageOverhead + static_cast<std::int64_t>(message.role.size() + message.content.size());
  }
  if (request.json_schema) tokens += static_cast<std::int64_t>(request.json_schema->dump().size());
  return tokens;
}

}  // namespace kinglet
