#include "kinglet/llm/retry_policy.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <curl/curl.h>

namespace kinglet {
namespace {

constexpr double kLongestWaitSeconds = 600;

std::optional<double> number_in(const std::string& text) {
  double value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || value < 0)
    return std::nullopt;
  return value;
}

std::chrono::milliseconds bounded(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(1000 * std::clamp(seconds, 0.0, kLongestWaitSeconds)));
}

bool mentions(const ServerError& error, std::string_view word) {
  return error.code.find(word) != std::string::npos || error.type.find(word) != std::string::npos;
}

bool is_billing(const ServerError& error) {
  return mentions(error, "insufficient_quota") || mentions(error, "billing") ||
         error.message.find("exceeded your current quota") != std::string::npos;
}

}  // namespace

void ResponseHeaders::take(std::string_view name, std::string_view value) {
  if (value.size() > 200) return;
  if (name == "retry-after") retry_after = value;
  if (name == "retry-after-ms") retry_after_ms = value;
  if (name == "x-should-retry") should_retry = value;
  if (name == "date") date = value;
  if (name == "x-ratelimit-limit-requests") limit_requests = value;
  if (name == "x-ratelimit-limit-tokens") limit_tokens = value;
}

Verdict verdict_of(const HttpOutcome& outcome, const ResponseHeaders& headers,
                   const std::optional<ServerError>& error) {
  if (outcome.kind == HttpOutcome::Kind::kUnreachable) return Verdict::kUnreachable;
  const int status = outcome.status;
  if (outcome.kind == HttpOutcome::Kind::kBroken && (status == 0 || status == 200)) return Verdict::kInDoubt;
  if (status == 200) return Verdict::kAnswer;
  if (status == 401 || status == 402 || status == 403) return Verdict::kRefused;
  if (error && is_billing(*error)) return Verdict::kRefused;
  if (status == 429) return Verdict::kThrottled;
  if (headers.should_retry == "true") return Verdict::kRetry;
  if (headers.should_retry == "false") return Verdict::kFail;
  switch (status) {
    case 408:
    case 409:
    case 500:
    case 502:
    case 503:
    case 504:
    case 529:  // "overloaded"
      return Verdict::kRetry;
    default:
      return Verdict::kFail;
  }
}

Verdict verdict_of_inner_error(const ServerError& error) {
  if (is_billing(error)) return Verdict::kRefused;
  if (error.code == "429" || mentions(error, "rate_limit") || mentions(error, "slow_down")) return Verdict::kThrottled;
  if (error.code.starts_with("4") || mentions(error, "invalid_request")) return Verdict::kFail;
  return Verdict::kInDoubt;  // it had begun to answer
}

std::optional<std::chrono::milliseconds> retry_after(const ResponseHeaders& headers,
                                                     std::chrono::system_clock::time_point now) {
  if (const auto milliseconds = number_in(headers.retry_after_ms)) return bounded(*milliseconds / 1000);
  if (headers.retry_after.empty()) return std::nullopt;
  if (const auto seconds = number_in(headers.retry_after)) return bounded(*seconds);
  const std::time_t until = curl_getdate(headers.retry_after.c_str(), nullptr);
  if (until < 0) return std::nullopt;
  std::time_t from = headers.date.empty() ? -1 : curl_getdate(headers.date.c_str(), nullptr);
  if (from < 0) from = std::chrono::system_clock::to_time_t(now);
  return bounded(std::difftime(until, from));
}

std::chrono::milliseconds Backoff::delay(int retries, double uniform) const {
  const double most = std::min(static_cast<double>(cap.count()),
                               static_cast<double>(base.count()) * std::ldexp(1.0, std::clamp(retries, 0, 40)));
  return std::chrono::milliseconds(static_cast<std::int64_t>(most * uniform));
}

}  // namespace kinglet
