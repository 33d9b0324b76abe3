#include "kinglet/llm/reply_reader.h"

#include <algorithm>
#include <cmath>

#include "kinglet/base/error.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

constexpr std::string_view kWhere = "reply";
constexpr std::int64_t kMostTokens = std::int64_t{1} << 40;
constexpr std::size_t kLongestMessage = 2000;  // of a server's error: some send whole web pages

// The field of an object, or null.
const Json& field(const Json& json, const char* name) {
  static const Json nothing;
  if (!json.is_object()) return nothing;
  const auto found = json.find(name);
  return found == json.end() ? nothing : *found;
}

std::string text_of(const Json& json) { return json.is_string() ? json.get<std::string>() : std::string(); }

// Content is a text, null, or a list of parts of which those with text count.
std::string content_text(const Json& content) {
  if (!content.is_array()) return text_of(content);
  std::string text;
  for (const Json& part : content) text += part.is_string() ? text_of(part) : text_of(field(part, "text"));
  return text;
}

FinishReason reason_of(const std::string& name) {
  if (name == "stop" || name == "eos" || name == "end_turn" || name == "stop_sequence") return FinishReason::kStop;
  if (name == "length" || name == "max_tokens") return FinishReason::kLength;
  if (name == "content_filter") return FinishReason::kContentFilter;
  if (name == "tool_calls" || name == "function_call") return FinishReason::kToolCalls;
  return FinishReason::kOther;
}

std::optional<std::int64_t> count_of(const Json& json) {
  if (!json.is_number()) return std::nullopt;
  const double value = json.get<double>();
  if (!(value >= 0 && value <= static_cast<double>(kMostTokens))) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

std::optional<TokenUsage> usage_of(const Json& json) {
  const auto prompt = count_of(field(json, "prompt_tokens")), completion = count_of(field(json, "completion_tokens"));
  if (!prompt && !completion) return std::nullopt;
  TokenUsage usage;
  usage.prompt = prompt.value_or(0);
  usage.completion = completion.value_or(0);
  usage.estimated = !prompt || !completion;
  const Json& prompt_details = field(json, "prompt_tokens_details");
  usage.cached = std::min(count_of(field(prompt_details, "cached_tokens")).value_or(0), usage.prompt);
  const Json& completion_details = field(json, "completion_tokens_details");
  usage.reasoning = std::min(count_of(field(completion_details, "reasoning_tokens")).value_or(0), usage.completion);
  return usage;
}

// Log-probs above 0 are rounding; those that are no number make the token useless.
std::optional<double> log_prob_of(const Json& json) {
  if (!json.is_number()) return std::nullopt;
  const double value = json.get<double>();
  if (!std::isfinite(value)) return std::nullopt;
  return std::min(value, 0.0);
}

std::optional<TokenLogProb> chat_log_prob(const Json& json) {
  const auto log_prob = log_prob_of(field(json, "logprob"));
  if (!log_prob) return std::nullopt;
  TokenLogProb token{text_of(field(json, "token")), *log_prob, {}};
  const Json& alternatives = field(json, "top_logprobs");
  if (!alternatives.is_array()) return token;
  for (const Json& other : alternatives) {
    if (const auto value = log_prob_of(field(other, "logprob"))) {
      token.alternatives.push_back({text_of(field(other, "token")), *value});
    }
  }
  return token;
}

void add_log_probs(const Json& json, std::vector<TokenLogProb>& all) {
  const Json& content = field(json, "content");
  if (content.is_array()) {
    for (const Json& item : content) {
      if (auto token = chat_log_prob(item)) all.push_back(std::move(*token));
    }
    return;
  }
  const Json& values = field(json, "token_logprobs");  // the shape of completions
  const Json& tokens = field(json, "tokens");
  if (!values.is_array()) return;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto value = log_prob_of(values[i]);
    if (value) all.push_back({tokens.is_array() && i < tokens.size() ? text_of(tokens[i]) : std::string(), *value, {}});
  }
}

std::optional<ServerError> error_of(const Json& json) {
  const Json& error = field(json, "error");
  ServerError result;
  if (error.is_object()) {
    const Json& code = field(error, "code");
    result.message = text_of(field(error, "message"));
    result.type = text_of(field(error, "type"));
    result.code = code.is_number_integer() ? code.dump() : text_of(code);
  } else if (error.is_string()) {
    result.message = text_of(error);
  } else {
    return std::nullopt;
  }
  if (result.message.size() > kLongestMessage) result.message.resize(kLongestMessage);
  return result;
}

Json parsed(std::string_view text) {
  if (utf8::is_valid(text)) return parse_json(text, kWhere);
  return parse_json(utf8::replace_invalid(text), kWhere);  // paid for, so a damaged character must not cost the rest
}

}  // namespace

std::optional<ServerError> server_error_in(std::string_view body) {
  try {
    const Json json = parsed(body);
    if (auto error = error_of(json)) return error;
    for (const char* name : {"message", "detail"}) {
      std::string message = text_of(field(json, name));
      if (message.empty()) continue;
      if (message.size() > kLongestMessage) message.resize(kLongestMessage);
      return ServerError{std::move(message), {}, {}};
    }
  } catch (const Error&) {
    // No JSON: the status alone must do.
  }
  return std::nullopt;
}

ReplyReader::ReplyReader(std::size_t max_body_bytes) : max_body_bytes_(max_body_bytes), events_(max_body_bytes) {}

std::string ReplyReader::feed(std::string_view bytes) {
  if (!problem_.empty() || at_end_) return {};
  try {
    take(bytes);
  } catch (const std::exception& error) {
    problem_ = error.what();
  }
  std::string added = reply_.text.substr(reported_);
  reported_ = reply_.text.size();
  return added;
}

void ReplyReader::take(std::string_view bytes) {
  bytes_ += bytes.size();
  if (bytes_ > max_body_bytes_) throw bad_input(kWhere, fmt::format("has more than {} bytes", max_body_bytes_));
  if (form_ == Form::kUnknown) {
    document_ += bytes;
    const std::size_t start = document_.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
    if (start == std::string::npos) return;
    form_ = document_[start] == '{' || document_[start] == '[' ? Form::kDocument : Form::kStream;
    if (form_ == Form::kDocument) {
      document_.erase(0, start);
    } else {
      const std::string all = std::move(document_);
      document_.clear();
      events_.feed(all, [this](std::string_view data) { add_event(data); });
    }
  } else if (form_ == Form::kDocument) {
    document_ += bytes;
  } else {
    events_.feed(bytes, [this](std::string_view data) { add_event(data); });
  }
}

void ReplyReader::add_event(std::string_view data) {
  if (at_end_) return;
  if (data == "[DONE]") {
    at_end_ = true;
    return;
  }
  add_document(parsed(data), "delta");
}

void ReplyReader::add_document(const Json& document, const char* message_field) {
  if (auto error = error_of(document)) {
    error_ = std::move(error);
    throw bad_input(kWhere, fmt::format("the server reports: {}", error_->message));
  }
  if (reply_.model.empty()) reply_.model = text_of(field(document, "model"));
  if (reply_.system_fingerprint.empty()) reply_.system_fingerprint = text_of(field(document, "system_fingerprint"));
  if (const auto usage = usage_of(field(document, "usage"))) {
    reply_.usage = *usage;
    has_usage_ = true;
  }
  const Json& choices = field(document, "choices");
  if (!choices.is_array()) return;
  for (const Json& choice : choices) {
    const Json& index = field(choice, "index");
    if (index.is_number() && index.get<double>() != 0) continue;  // one reply was asked for
    add_choice(choice, message_field);
    break;
  }
}

void ReplyReader::add_choice(const Json& choice, const char* message_field) {
  if (!choice.is_object()) return;
  has_choice_ = true;
  const Json& message = field(choice, message_field);
  reply_.text += message.is_object() ? content_text(field(message, "content")) : text_of(field(choice, "text"));
  std::string reasoning = content_text(field(message, "reasoning_content"));
  if (reasoning.empty()) reasoning = content_text(field(message, "reasoning"));
  reply_.reasoning += reasoning;
  reply_.refusal += text_of(field(message, "refusal"));
  add_log_probs(field(choice, "logprobs"), reply_.log_probs);
  const std::string reason = text_of(field(choice, "finish_reason"));
  if (!reason.empty()) reply_.finish_reason = reason_of(reason);
}

ChatReply ReplyReader::finish() {
  if (problem_.empty()) {
    try {
      if (form_ == Form::kDocument) add_document(parsed(document_), "message");
      if (form_ == Form::kStream) events_.finish([this](std::string_view data) { add_event(data); });
    } catch (const std::exception& error) {
      problem_ = error.what();
    }
  }
  if (!problem_.empty()) throw bad_input({}, problem_);
  if (bytes_ == 0) throw bad_input(kWhere, "is empty");
  if (!has_choice_) throw bad_input(kWhere, "holds no choice");
  if (form_ == Form::kStream && !at_end_ && reply_.finish_reason == FinishReason::kNone) {
    throw bad_input(kWhere, "the stream stops before its end");
  }
  reply_.usage.estimated = reply_.usage.estimated || !has_usage_;
  return std::move(reply_);
}

ChatReply parse_reply(std::string_view body) {
  ReplyReader reader;
  reader.feed(body);
  return reader.finish();
}

}  // namespace kinglet
