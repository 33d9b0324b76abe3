#include "kinglet/serve/api_reply.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace kinglet {
namespace {

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json usage_json(const ReplyUsage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

// JSON has no infinity; the original writes this for tokens that cannot come.
double finite(double log_probability) { return std::isfinite(log_probability) ? log_probability : -9999.0; }

Json chat_token(const TokenView& view) {
  Json bytes;
  if (view.bytes) {
    bytes = Json::array();
    for (const char c : *view.bytes) bytes.push_back(static_cast<int>(static_cast<unsigned char>(c)));
  }
  return {{"token", readable_token(view.bytes.value_or(""))},
          {"logprob", finite(view.log_probability)},
          {"bytes", std::move(bytes)}};
}

Json chat_log_probabilities(const std::vector<ShownToken>& tokens) {
  Json content = Json::array();
  for (const ShownToken& shown : tokens) {
    Json entry = chat_token(shown.token);
    entry["top_logprobs"] = Json::array();
    for (const TokenView& view : shown.alternatives) entry["top_logprobs"].push_back(chat_token(view));
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

// Half a character is told apart from the text that looks like it.
std::string text_token(const TokenView& view) {
  if (!view.bytes) return {};
  std::string readable = readable_token(*view.bytes);
  return readable == *view.bytes ? readable : "bytes:" + readable;
}

Json text_log_probabilities(const std::vector<ShownToken>& tokens) {
  Json texts = Json::array(), values = Json::array(), tops = Json::array(), offsets = Json::array();
  for (const ShownToken& shown : tokens) {
    texts.push_back(text_token(shown.token));
    values.push_back(finite(shown.token.log_probability));
    offsets.push_back(shown.text_offset);
    Json top = Json::object();
    for (const TokenView& view : shown.alternatives) {
      const std::string text = text_token(view);
      if (!top.contains(text)) top[text] = finite(view.log_probability);
    }
    tops.push_back(std::move(top));
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(values)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

}  // namespace

Json ReplyFormat::head(std::string_view object) const {
  return {{"id", setting_.id},
          {"object", object},
          {"created", setting_.created},
          {"model", setting_.model},
          {"system_fingerprint", setting_.fingerprint}};
}

Json ReplyFormat::log_probabilities(const std::vector<ShownToken>& tokens) const {
  if (!setting_.log_probabilities) return nullptr;
  return setting_.chat ? chat_log_probabilities(tokens) : text_log_probabilities(tokens);
}

std::string ReplyFormat::chunk(Json choices, const ReplyUsage* usage) const {
  Json document = head(setting_.chat ? "chat.completion.chunk" : "text_completion");
  document["choices"] = std::move(choices);
  if (usage != nullptr)
    document["usage"] = usage_json(*usage);
  else if (setting_.include_usage)
    document["usage"] = nullptr;
  return fmt::format("data: {}\n\n", dump(document));
}

std::string ReplyFormat::first_event(std::int64_t index) const {
  if (!setting_.chat) return {};
  const Json delta = {{"role", "assistant"}, {"content", ""}};
  return chunk(Json::array({{{"index", index}, {"delta", delta}, {"logprobs", nullptr}, {"finish_reason", nullptr}}}),
               nullptr);
}

std::string ReplyFormat::event(std::int64_t index, const TextPiece& piece) const {
  Json choice = {{"index", index}};
  if (setting_.chat)
    choice["delta"] = {{"content", piece.text}};
  else
    choice["text"] = piece.text;
  choice["logprobs"] = log_probabilities(piece.tokens);
  choice["finish_reason"] = nullptr;
  return chunk(Json::array({std::move(choice)}), nullptr);
}

std::string ReplyFormat::end_event(std::int64_t index, std::string_view finish_reason) const {
  Json choice = {{"index", index}};
  if (setting_.chat)
    choice["delta"] = Json::object();
  else
    choice["text"] = "";
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = finish_reason;
  return chunk(Json::array({std::move(choice)}), nullptr);
}

std::string ReplyFormat::usage_event(const ReplyUsage& usage) const { return chunk(Json::array(), &usage); }

std::string ReplyFormat::reasoning_event(const Json& event) const {
  Json document = head("chat.completion.chunk");
  document["choices"] = Json::array();
  document["reasoning"] = event;
  if (setting_.include_usage) document["usage"] = nullptr;
  return fmt::format("data: {}\n\n", dump(document));
}

std::string ReplyFormat::error_event(std::string_view error_body) { return fmt::format("data: {}\n\n", error_body); }

Json ReplyFormat::choice(std::int64_t index, const TextPiece& whole, std::string_view finish_reason) const {
  Json choice = {{"index", index}};
  if (setting_.chat)
    choice["message"] = {{"role", "assistant"}, {"content", whole.text}, {"refusal", nullptr}};
  else
    choice["text"] = whole.text;
  choice["logprobs"] = log_probabilities(whole.tokens);
  choice["finish_reason"] = finish_reason;
  return choice;
}

std::string ReplyFormat::document(const Json& choices, const ReplyUsage& usage, const Json& reasoning) const {
  Json document = head(setting_.chat ? "chat.completion" : "text_completion");
  document["choices"] = choices;
  document["usage"] = usage_json(usage);
  if (!reasoning.is_null()) document["reasoning"] = reasoning;
  return dump(document);
}

}  // namespace kinglet
