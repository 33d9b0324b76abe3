// What to do after an attempt: pure functions of what the transport and the server said.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kinglet/llm/http_client.h"
#include "kinglet/llm/reply_reader.h"

namespace kinglet {

// Header fields that matter here, as they came; empty when they did not.
struct ResponseHeaders {
  std::string retry_after, retry_after_ms, should_retry, date;
  std::string limit_requests, limit_tokens;  // x-ratelimit-limit-*: a minute's worth

  void take(std::string_view name, std::string_view value);  // name in lower case
};

enum class Verdict {
  kAnswer,       // read the body
  kThrottled,    // the server is busy: slow down, send again; no attempt is used up
  kUnreachable,  // nothing was sent: wait for the endpoint; no attempt is used up
  kRetry,        // send again later
  kInDoubt,      // the request may have been billed without an answer: send again once, marked
  kFail,         // this call can never succeed
  kRefused,      // no call to this endpoint can succeed: wrong key, no credit
};

// `error` is the error object of the body, if there is one.
Verdict verdict_of(const HttpOutcome& outcome, const ResponseHeaders& headers, const std::optional<ServerError>& error);
// For an error object inside an answer with status 200.
Verdict verdict_of_inner_error(const ServerError& error);

// How long the server asks to wait: retry-after-ms, then Retry-After in seconds or as a date. A date counts from the
// server's own Date field when that came, else from `now`, so that a wrong clock here does no harm. At most ten
// minutes.
std::optional<std::chrono::milliseconds> retry_after(const ResponseHeaders& headers,
                                                     std::chrono::system_clock::time_point now);

struct Backoff {
  std::chrono::milliseconds base{500};
  std::chrono::milliseconds cap{60'000};
  // Full jitter: uniform in [0, min(cap, base * 2^retries)), `uniform` in [0, 1).
  std::chrono::milliseconds delay(int retries, double uniform) const;
};

}  // namespace kinglet
