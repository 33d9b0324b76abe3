#include "kinglet/methods/excp/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/error.h"

namespace kinglet::excp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Keys 10 and 40; deltas 20 -> 10, 30 -> 20, 50 -> 40.
std::vector<StepInfo> two_chains() {
  std::vector<StepInfo> steps;
  std::optional<std::int64_t> parent;
  for (const std::int64_t step : {10, 20, 30, 40, 50}) {
    StepInfo info;
    info.step = step;
    info.key = step == 10 || step == 40;
    if (!info.key) info.parent = parent;
    steps.push_back(info);
    parent = step;
  }
  return steps;
}

TEST(Retention, RulesAddUp) {
  RetentionRule rule;
  rule.last = 1;
  EXPECT_THAT(choose_retained(two_chains(), rule), ElementsAre(50));
  rule.every = 20;
  EXPECT_THAT(choose_retained(two_chains(), rule), ElementsAre(20, 40, 50));
  rule.steps = {10, 10};
  EXPECT_THAT(choose_retained(two_chains(), rule), ElementsAre(10, 20, 40, 50));
  rule = {};
  rule.last = 99;
  EXPECT_THAT(choose_retained(two_chains(), rule), ElementsAre(10, 20, 30, 40, 50));
}

TEST(Retention, RefusesUnknownStepsAndToEmptyAStore) {
  RetentionRule unknown;
  unknown.steps = {10, 11};
  EXPECT_THROW(choose_retained(two_chains(), unknown), Error);
  RetentionRule none;
  none.every = 1000;
  EXPECT_THROW(choose_retained(two_chains(), none), Error);
}

TEST(Retention, AncestorsStay) {
  EXPECT_THAT(removable_steps(two_chains(), {20}), ElementsAre(30, 40, 50));
  EXPECT_THAT(removable_steps(two_chains(), {30}), ElementsAre(40, 50));
  EXPECT_THAT(removable_steps(two_chains(), {50}), ElementsAre(10, 20, 30));
  EXPECT_THAT(removable_steps(two_chains(), {30, 50}), IsEmpty());
}

}  // namespace
}  // namespace kinglet::excp
