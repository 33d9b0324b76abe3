#include "kinglet/llm/retry_policy.h"

#include <gtest/gtest.h>

namespace kinglet {
namespace {

using std::chrono::milliseconds;
using Kind = HttpOutcome::Kind;

Verdict verdict(int status, std::optional<ServerError> error = {}, std::string should_retry = {}) {
  ResponseHeaders headers;
  headers.should_retry = std::move(should_retry);
  return verdict_of({Kind::kAnswered, status, true, {}}, headers, error);
}

TEST(Verdicts, FollowTheTable) {
  EXPECT_EQ(verdict(200), Verdict::kAnswer);
  EXPECT_EQ(verdict(429, ServerError{"slow down", "rate_limit", ""}), Verdict::kThrottled);
  EXPECT_EQ(verdict(429, ServerError{"pay", "insufficient_quota", ""}), Verdict::kRefused);
  for (const int status : {408, 409, 500, 502, 503, 504}) EXPECT_EQ(verdict(status), Verdict::kRetry) << status;
  for (const int status : {400, 404, 413, 422, 302}) EXPECT_EQ(verdict(status), Verdict::kFail) << status;
  for (const int status : {401, 403}) EXPECT_EQ(verdict(status), Verdict::kRefused) << status;
  EXPECT_EQ(verdict(500, {}, "false"), Verdict::kFail);
  EXPECT_EQ(verdict(400, {}, "true"), Verdict::kRetry);
}

TEST(Verdicts, TellDoubtFromSafety) {
  EXPECT_EQ(verdict_of({Kind::kUnreachable, 0, false, ""}, {}, {}), Verdict::kUnreachable);
  EXPECT_EQ(verdict_of({Kind::kBroken, 0, true, ""}, {}, {}), Verdict::kInDoubt);
  EXPECT_EQ(verdict_of({Kind::kBroken, 200, true, ""}, {}, {}), Verdict::kInDoubt);
  EXPECT_EQ(verdict_of({Kind::kBroken, 503, true, ""}, {}, {}), Verdict::kRetry);
  EXPECT_EQ(verdict_of_inner_error({"x", "rate_limit_exceeded", "429"}), Verdict::kThrottled);
  EXPECT_EQ(verdict_of_inner_error({"x", "server_error", ""}), Verdict::kInDoubt);
}

ResponseHeaders with(std::string retry_after, std::string milliseconds_text = {}, std::string date = {}) {
  ResponseHeaders headers;
  headers.retry_after = std::move(retry_after);
  headers.retry_after_ms = std::move(milliseconds_text);
  headers.date = std::move(date);
  return headers;
}

TEST(RetryAfter, ReadsSecondsMillisecondsAndDates) {
  const auto now = std::chrono::system_clock::from_time_t(1'700'000'000);  // Tue, 14 Nov 2023 22:13:20 GMT
  EXPECT_EQ(retry_after(with("2"), now), milliseconds(2000));
  EXPECT_EQ(retry_after(with("0.25"), now), milliseconds(250));
  EXPECT_EQ(retry_after(with("2", "30"), now), milliseconds(30));
  EXPECT_EQ(retry_after(with("Tue, 14 Nov 2023 22:13:25 GMT"), now), milliseconds(5000));
  EXPECT_EQ(retry_after(with("Tue, 14 Nov 2023 22:13:15 GMT"), now), milliseconds(0));
  EXPECT_EQ(retry_after(with("999999999"), now), milliseconds(600'000));
  for (const char* text : {"", "-3", "nan", "inf", "soon", "1e999"}) EXPECT_FALSE(retry_after(with(text), now)) << text;
}

TEST(RetryAfter, TrustsTheServersClockRatherThanOurs) {
  const auto years_ahead = std::chrono::system_clock::from_time_t(2'000'000'000);
  EXPECT_EQ(retry_after(with("Tue, 14 Nov 2023 22:13:25 GMT", "", "Tue, 14 Nov 2023 22:13:20 GMT"), years_ahead),
            milliseconds(5000));
}

TEST(Backoff, GrowsToItsCapWithFullJitter) {
  const Backoff backoff{milliseconds(500), milliseconds(60'000)};
  EXPECT_EQ(backoff.delay(0, 0.5), milliseconds(250));
  EXPECT_EQ(backoff.delay(3, 0.5), milliseconds(2000));
  EXPECT_EQ(backoff.delay(1000, 0.5), milliseconds(30'000));
  EXPECT_EQ(backoff.delay(5, 0), milliseconds(0));
}

}  // namespace
}  // namespace kinglet
