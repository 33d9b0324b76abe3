// How to call one OpenAI-compatible endpoint.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/llm/admission.h"
#include "kinglet/llm/api_key.h"
#include "kinglet/llm/call_ledger.h"
#include "kinglet/llm/cost.h"
#include "kinglet/llm/retry_policy.h"

namespace kinglet {

// What to do with a call that an earlier process sent and that has no answer in the ledger.
enum class InDoubtPolicy { kResend, kSkip };

struct EndpointOptions {
  std::string base_url;  // "http://127.0.0.1:8080/v1"
  std::string model;
  std::string path = "/chat/completions";
  std::string identity;  // in run keys, in place of the URL: a run may then go on at another address
  bool max_completion_tokens = false;
  bool include_usage = true;

  ApiKey api_key;
  std::string key_header = "Authorization";  // Azure: "api-key" with an empty prefix
  std::string key_prefix = "Bearer ";
  std::vector<std::string> headers;  // further ones, "Name: value"; not for secrets
  std::string idempotency_header;    // when the endpoint honours one: it carries the run key (needs a ledger)
  std::string proxy;
  std::string certificate_authorities;
  bool http2_without_tls = false;

  AdmissionOptions admission;
  std::int64_t assumed_reply_tokens = 1024;  // for token buckets, of calls without max_tokens
  Backoff backoff;
  int max_retries = 4;           // after 408, 409, 5xx
  int max_bad_replies = 1;       // send again after a 200 that holds no reply
  int max_doubtful_resends = 1;  // send again after a request that may have been billed
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds attempt_timeout{600'000};
  std::chrono::milliseconds idle_timeout{120'000};       // without a byte, once the answer has begun
  std::chrono::milliseconds throttled_limit{1'800'000};  // a call that is refused (429) for longer fails
  std::chrono::milliseconds unreachable_limit{120'000};  // when nothing was reached for longer, waiting calls fail
  std::size_t max_body_bytes = std::size_t{64} << 20;
  std::uint64_t jitter_seed = 0;  // 0: a different one each time

  // Shared with others; each may be missing, and must outlive the endpoint.
  CallLedger* ledger = nullptr;
  InDoubtPolicy in_doubt = InDoubtPolicy::kResend;
  Budget* budget = nullptr;
  std::optional<Price> price;  // for the budget
  CostMeter* meter = nullptr;
};

}  // namespace kinglet
