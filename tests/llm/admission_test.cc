#include "kinglet/llm/admission.h"

#include <gtest/gtest.h>

namespace kinglet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Time = Admission::Time;

const Time kStart = Time(std::chrono::hours(1));

int send_all(Admission& admission, Time now, int most, std::int64_t tokens = 1) {
  int sent = 0;
  for (; sent < most && admission.may_send(now, tokens); ++sent) admission.sent(now, tokens);
  return sent;
}

TEST(Admission, CutsOnceABurst) {
  Admission admission({.max_in_flight = 100});
  EXPECT_EQ(send_all(admission, kStart, 1000), 100);
  for (int i = 0; i < 10; ++i) admission.throttled(kStart + milliseconds(10 + i), kStart, {});
  EXPECT_EQ(admission.limit(), 75);
  admission.throttled(kStart + seconds(5), kStart + seconds(4), {});  // sent after the cut: a new burst
  EXPECT_EQ(admission.limit(), 56);
}

TEST(Admission, PausesAsTheServerSaysOrTwoSeconds) {
  Admission admission({.max_in_flight = 10});
  admission.throttled(kStart, kStart, {});
  EXPECT_FALSE(admission.may_send(kStart + milliseconds(1999), 1));
  EXPECT_TRUE(admission.may_send(kStart + milliseconds(2000), 1));
  admission.throttled(kStart + seconds(3), kStart + seconds(3), seconds(30));
  EXPECT_EQ(admission.next_chance(kStart + seconds(4), 1), kStart + seconds(33));
}

TEST(Admission, GrowsByOneAfterTwentyFiveSuccesses) {
  Admission admission({.max_in_flight = 4});
  admission.throttled(kStart, kStart, {});
  EXPECT_EQ(admission.limit(), 3);
  for (int i = 0; i < 24; ++i) admission.succeeded();
  EXPECT_EQ(admission.limit(), 3);
  admission.succeeded();
  EXPECT_EQ(admission.limit(), 4);
  for (int i = 0; i < 100; ++i) admission.succeeded();
  EXPECT_EQ(admission.limit(), 4);  // never above the cap
}

TEST(Admission, KeepsToARateOfRequests) {
  Admission admission({.max_in_flight = 1000, .requests_a_minute = 600});
  EXPECT_EQ(send_all(admission, kStart, 1000), 50);  // five seconds' worth
  EXPECT_EQ(send_all(admission, kStart + seconds(2), 1000), 20);
  EXPECT_EQ(admission.next_chance(kStart + seconds(2), 1), kStart + seconds(2) + milliseconds(100));
}

TEST(Admission, GivesBackTokensThatWereNotUsed) {
  Admission admission({.max_in_flight = 1000, .tokens_a_minute = 12'000});
  EXPECT_EQ(send_all(admission, kStart, 1000, 500), 2);
  admission.ended(500, 100);
  EXPECT_FALSE(admission.may_send(kStart, 500));
  EXPECT_TRUE(admission.may_send(kStart, 400));
}

TEST(Admission, LetsACallThatIsLargerThanTheBucketGoWhenItIsFull) {
  Admission admission({.tokens_a_minute = 1200});
  EXPECT_EQ(send_all(admission, kStart, 10, 5000), 1);
  EXPECT_FALSE(admission.may_send(kStart + seconds(100), 5000));
  EXPECT_TRUE(admission.may_send(kStart + seconds(251), 5000));
}

TEST(Admission, ProbesAnEndpointThatIsDown) {
  Admission admission({.max_in_flight = 10});
  admission.unreachable(kStart, seconds(1));
  EXPECT_FALSE(admission.may_send(kStart, 1));
  EXPECT_EQ(send_all(admission, kStart + seconds(1), 10), 1);
  admission.reachable();
  EXPECT_EQ(send_all(admission, kStart + seconds(1), 10), 9);
}

TEST(Admission, LearnsLimitsUnlessTheyAreConfigured) {
  Admission free({.max_in_flight = 1000}), fixed({.max_in_flight = 1000, .requests_a_minute = 120});
  for (Admission* admission : {&free, &fixed}) admission->learn_limits(60, 0);
  EXPECT_EQ(send_all(free, kStart, 1000), 5);
  EXPECT_EQ(send_all(fixed, kStart, 1000), 10);
}

TEST(Admission, IsNotMovedByAClockThatGoesBack) {
  Admission admission({.max_in_flight = 1000, .requests_a_minute = 600});
  send_all(admission, kStart, 1000);
  EXPECT_FALSE(admission.may_send(kStart - seconds(100), 1));
  EXPECT_EQ(send_all(admission, kStart + seconds(1), 1000), 10);
}

}  // namespace
}  // namespace kinglet
