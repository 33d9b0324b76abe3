#include "kinglet/llm/cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::refusal;

constexpr char kTable[] = R"({"currency":"EUR","models":{"m":{"input":2,"cached_input":1,"output":8},
    "m-*":{"input":4,"output":4},"m-large*":{"input":10,"output":10}}})";

TEST(PriceTable, FindsTheClosestName) {
  const PriceTable table = PriceTable::parse(kTable, "prices.json");
  EXPECT_EQ(table.currency(), "EUR");
  EXPECT_EQ(table.find("m")->output, 8);
  EXPECT_EQ(table.find("m-2")->input, 4);
  EXPECT_EQ(table.find("m-2")->cached_input, 4);
  EXPECT_EQ(table.find("m-large-3")->input, 10);
  EXPECT_FALSE(table.find("n"));
}

TEST(PriceTable, PricesCachedTokensApart) {
  EXPECT_DOUBLE_EQ(PriceTable::parse(kTable, "p").find("m")->of({1000, 400, 100, 0, false}),
                   (600 * 2 + 400 * 1 + 100 * 8) / 1e6);
}

TEST(PriceTable, RefusesWhatIsNone) {
  EXPECT_THAT(refusal([] { PriceTable::parse("[]", "p.json"); }), HasSubstr("p.json"));
  EXPECT_THAT(refusal([] { PriceTable::parse(R"({"models":{"a":{"input":-1,"output":2}}})", "p.json"); }),
              HasSubstr("models.a.input"));
  EXPECT_THAT(refusal([] { PriceTable::parse(R"({"models":{"a":{"input":1}}})", "p.json"); }),
              HasSubstr("models.a.output"));
  EXPECT_THAT(refusal([] { PriceTable::parse(R"({"models":{"a":3}})", "p.json"); }), HasSubstr("models.a"));
}

TEST(Budget, WaitsForReservesAndEndsWithoutThem) {
  Budget budget({.requests = {}, .tokens = 100, .money = {}});
  const Budget::Amount call = {1, 60, 0};
  EXPECT_EQ(budget.room_for(call), Budget::Room::kYes);
  budget.reserve(call);
  EXPECT_EQ(budget.room_for(call), Budget::Room::kLater);
  budget.settle(call, {1, 30, 0});
  EXPECT_EQ(budget.room_for(call), Budget::Room::kYes);
  budget.charge({1, 30, 0});  // by an earlier process
  EXPECT_EQ(budget.room_for(call), Budget::Room::kNever);
}

TEST(CostMeter, KeepsReplaysApart) {
  CostMeter meter(PriceTable::parse(kTable, "p"));
  ChatReply reply;
  reply.usage = {1000, 0, 1000, 0, false};
  reply.attempts = 2;
  reply.doubtful = 1;
  meter.add("judge", "m", reply);
  reply.replayed = true;
  meter.add("judge", "m", reply);
  meter.add("judge", "unknown", {});
  const CallCosts total = meter.total();
  EXPECT_EQ(total.calls, 3);
  EXPECT_EQ(total.replayed, 1);
  EXPECT_EQ(total.requests, 2);
  EXPECT_EQ(total.unpriced, 1);
  EXPECT_DOUBLE_EQ(total.money, 0.01);
  EXPECT_EQ(meter.to_json()["rows"].size(), 2U);
}

}  // namespace
}  // namespace kinglet
