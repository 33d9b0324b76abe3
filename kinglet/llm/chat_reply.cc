#include "kinglet/llm/chat_reply.h"

#include <array>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

constexpr std::array<std::string_view, 7> kStatusNames = {"done",     "failed", "refused", "cancelled",
                                                          "deadline", "budget", "in doubt"};
constexpr std::array<std::string_view, 6> kReasonNames = {"none",           "stop",       "length",
                                                          "content_filter", "tool_calls", "other"};

Json log_prob_json(const TokenLogProb& token) {
  Json json = {{"token", token.token}, {"logprob", token.log_prob}};
  for (const TokenLogProb::Alternative& other : token.alternatives) {
    json["top"].push_back({{"token", other.token}, {"logprob", other.log_prob}});
  }
  return json;
}

TokenLogProb log_prob_from(const Json& json) {
  TokenLogProb token{json.at("token").get<std::string>(), json.at("logprob").get<double>(), {}};
  if (json.contains("top")) {
    for (const Json& other : json["top"]) {
      token.alternatives.push_back({other.at("token").get<std::string>(), other.at("logprob").get<double>()});
    }
  }
  return token;
}

FinishReason reason_from(const std::string& name) {
  for (std::size_t i = 0; i < kReasonNames.size(); ++i) {
    if (kReasonNames[i] == name) return static_cast<FinishReason>(i);
  }
  return FinishReason::kOther;
}

}  // namespace

std::string_view name_of(ReplyStatus status) { return kStatusNames.at(static_cast<std::size_t>(status)); }
std::string_view name_of(FinishReason reason) { return kReasonNames.at(static_cast<std::size_t>(reason)); }

TokenUsage& TokenUsage::operator+=(const TokenUsage& other) {
  prompt += other.prompt;
  cached += other.cached;
  completion += other.completion;
  reasoning += other.reasoning;
  estimated = estimated || other.estimated;
  return *this;
}

std::optional<double> ChatReply::mean_log_prob() const {
  if (log_probs.empty()) return std::nullopt;
  double sum = 0;
  for (const TokenLogProb& token : log_probs) sum += token.log_prob;
  return sum / static_cast<double>(log_probs.size());
}

Json reply_to_json(const ChatReply& reply) {
  Json json = {{"text", reply.text},
               {"finish_reason", name_of(reply.finish_reason)},
               {"usage",
                {{"prompt", reply.usage.prompt},
                 {"cached", reply.usage.cached},
                 {"completion", reply.usage.completion},
                 {"reasoning", reply.usage.reasoning},
                 {"estimated", reply.usage.estimated}}}};
  if (!reply.reasoning.empty()) json["reasoning"] = reply.reasoning;
  if (!reply.refusal.empty()) json["refusal"] = reply.refusal;
  if (!reply.model.empty()) json["model"] = reply.model;
  if (!reply.system_fingerprint.empty()) json["system_fingerprint"] = reply.system_fingerprint;
  for (const TokenLogProb& token : reply.log_probs) json["log_probs"].push_back(log_prob_json(token));
  return json;
}

ChatReply reply_from_json(const Json& json, std::string_view where) {
  try {
    ChatReply reply;
    const Json& usage = json.at("usage");
    reply.text = json.at("text").get<std::string>();
    reply.finish_reason = reason_from(json.at("finish_reason").get<std::string>());
    reply.usage = {usage.at("prompt").get<std::int64_t>(), usage.at("cached").get<std::int64_t>(),
                   usage.at("completion").get<std::int64_t>(), usage.at("reasoning").get<std::int64_t>(),
                   usage.at("estimated").get<bool>()};
    reply.reasoning = json.value("reasoning", "");
    reply.refusal = json.value("refusal", "");
    reply.model = json.value("model", "");
    reply.system_fingerprint = json.value("system_fingerprint", "");
    if (json.contains("log_probs")) {
      for (const Json& token : json["log_probs"]) reply.log_probs.push_back(log_prob_from(token));
    }
    return reply;
  } catch (const Json::exception&) {
    throw bad_input(where, "is no recorded reply", "remove it; the call is then made anew");
  }
}

}  // namespace kinglet
