// What a model answered, or why it did not.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/text/json_text.h"

namespace kinglet {

enum class ReplyStatus {
  kDone,       // there is a reply (look at finish_reason)
  kFailed,     // this call failed for good
  kRefused,    // the endpoint takes no calls at all: wrong key, no credit; later calls end the same way at once
  kCancelled,  // by the caller
  kDeadline,   // its time was over
  kBudget,     // a budget is used up; the call was not sent
  kInDoubt,    // it was sent before, nobody knows whether it was answered, and the policy is not to send it again
};
std::string_view name_of(ReplyStatus status);

enum class FinishReason { kNone, kStop, kLength, kContentFilter, kToolCalls, kOther };
std::string_view name_of(FinishReason reason);

struct TokenUsage {
  std::int64_t prompt = 0;      // cached ones included
  std::int64_t cached = 0;      // of the prompt
  std::int64_t completion = 0;  // reasoning included
  std::int64_t reasoning = 0;   // of the completion
  bool estimated = false;       // the model did not say; bounds from text lengths

  TokenUsage& operator+=(const TokenUsage& other);
  bool operator==(const TokenUsage&) const = default;
};

struct TokenLogProb {
  struct Alternative {
    std::string token;
    double log_prob = 0;
    bool operator==(const Alternative&) const = default;
  };
  std::string token;
  double log_prob = 0;  // natural logarithm, <= 0
  std::vector<Alternative> alternatives;
  bool operator==(const TokenLogProb&) const = default;
};

struct ChatReply {
  ReplyStatus status = ReplyStatus::kDone;
  std::string error;  // one line, without secrets; empty when done

  std::string text;
  std::string reasoning;  // from a field of its own; never part of `text`
  std::string refusal;
  FinishReason finish_reason = FinishReason::kNone;
  TokenUsage usage;
  std::vector<TokenLogProb> log_probs;  // empty when not asked for or not offered
  std::string model;                    // as the server names it
  std::string system_fingerprint;

  int http_status = 0;                      // of the last attempt; 0: no HTTP or no answer
  int attempts = 0;                         // requests that were sent
  int doubtful = 0;                         // of them, those that may have been billed without an answer
  bool replayed = false;                    // from a ledger or a cache: nothing was sent
  std::chrono::duration<double> seconds{};  // from submit() to the end

  bool done() const { return status == ReplyStatus::kDone; }
  // Mean log-probability of the generated tokens; nothing without log-probs.
  std::optional<double> mean_log_prob() const;
};

// What a cache keeps: the answer, not how it was got. reply_from_json raises Error (bad input).
Json reply_to_json(const ChatReply& reply);
ChatReply reply_from_json(const Json& json, std::string_view where);

}  // namespace kinglet
