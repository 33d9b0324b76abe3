// Learning-rate schedules against the values of transformers 5.24 (steps 0, 5, 10, 11, 40, 55, 99) and their formulas.
#include "kinglet/train/schedule.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace kinglet {
namespace {

using ::testing::HasSubstr;
using testing_support::refusal;
using Kind = Schedule::Kind;

std::vector<double> factors(const Schedule& schedule, const std::vector<std::int64_t>& steps) {
  std::vector<double> result;
  for (const std::int64_t step : steps) result.push_back(schedule.factor(step));
  return result;
}

void expect_near(const std::vector<double>& values, const std::vector<double>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-15) << i;
}

const std::vector<std::int64_t> kScheduleSteps = {0, 5, 10, 11, 40, 55, 99};

TEST(Schedule, EqualsTransformers) {
  // get_cosine_schedule_with_warmup, get_cosine_with_min_lr_schedule_with_warmup, get_linear_schedule_with_warmup,
  // get_constant_schedule_with_warmup: 10 steps of warm-up, 100 in all
  Schedule schedule{.kind = Kind::kCosine, .total_steps = 100, .warm_up_steps = 10};
  expect_near(factors(schedule, kScheduleSteps), {0, 0.5, 1, 0.9996954135095479, 0.75, 0.5, 0.00030458649045211894});
  schedule.minimum_ratio = 0.1;
  expect_near(factors(schedule, kScheduleSteps), {0, 0.5, 1, 0.9997258721585931, 0.775, 0.55, 0.10027412784140691});
  schedule = {.kind = Kind::kLinear, .total_steps = 100, .warm_up_steps = 10};
  expect_near(factors(schedule, kScheduleSteps),
              {0, 0.5, 1, 0.9888888888888889, 0.6666666666666666, 0.5, 0.011111111111111112});
  schedule = {.kind = Kind::kConstant, .warm_up_steps = 10};
  expect_near(factors(schedule, kScheduleSteps), {0, 0.5, 1, 1, 1, 1, 1});
  // get_wsd_schedule with 20 steps of decay in a line
  schedule = {.kind = Kind::kWsd, .total_steps = 100, .warm_up_steps = 10, .decay_steps = 20, .minimum_ratio = 0.1};
  expect_near(factors(schedule, {10, 79, 80, 81, 90, 99, 100, 120}), {1, 1, 1, 0.955, 0.55, 0.145, 0.1, 0.1});
}

TEST(Schedule, FallsOfWsd) {
  Schedule schedule{.kind = Kind::kWsd, .total_steps = 100, .decay_steps = 64, .decay = Schedule::Decay::kSquareRoot};
  expect_near(factors(schedule, {0, 36, 52, 100}), {1, 1, 0.5, 0});
  schedule.decay = Schedule::Decay::kCosine;
  expect_near(factors(schedule, {36, 52, 68, 100}), {1, 0.5 + std::sqrt(0.125), 0.5, 0});
}

TEST(Schedule, TheLastValueStays) {
  for (const Kind kind : {Kind::kLinear, Kind::kCosine, Kind::kWsd}) {
    const Schedule schedule{.kind = kind, .total_steps = 10, .decay_steps = 5, .minimum_ratio = 0.25};
    EXPECT_EQ(schedule.factor(0), 1);
    EXPECT_DOUBLE_EQ(schedule.factor(10), 0.25);
    EXPECT_DOUBLE_EQ(schedule.factor(1'000'000), 0.25);
  }
}

TEST(Schedule, TakesTheEnds) {
  // Nothing but warm-up, and no decay at all: no division by zero.
  EXPECT_EQ((Schedule{.kind = Kind::kCosine, .total_steps = 10, .warm_up_steps = 10}.factor(9)), 0.9);
  EXPECT_EQ((Schedule{.kind = Kind::kCosine, .total_steps = 10, .warm_up_steps = 10}.factor(10)), 0);
  EXPECT_EQ((Schedule{.kind = Kind::kWsd, .total_steps = 10}.factor(9)), 1);
}

TEST(Schedule, RefusesWhatDoesNotGoTogether) {
  const auto refused = [](const Schedule& schedule) { return refusal([&] { schedule.check(); }); };
  EXPECT_THAT(refused({.kind = Kind::kCosine}), HasSubstr("number of steps must be known"));
  EXPECT_THAT(refused({.kind = Kind::kCosine, .total_steps = 5, .warm_up_steps = 6}), HasSubstr("warm-up of 6 steps"));
  EXPECT_THAT(refused({.kind = Kind::kWsd, .total_steps = 5, .warm_up_steps = 3, .decay_steps = 3}),
              HasSubstr("warm-up and decay of 6 steps do not fit into 5"));
  EXPECT_THAT(refused({.kind = Kind::kConstant, .minimum_ratio = std::nan("")}), HasSubstr("between 0 and 1"));
  EXPECT_THAT(refused({.warm_up_steps = -1}), HasSubstr("negative"));
  Schedule{.kind = Kind::kConstant, .warm_up_steps = 6}.check();
}

TEST(Schedule, ReadsNamesAndRatios) {
  EXPECT_EQ(parse_schedule("constant"), Kind::kConstant);
  EXPECT_EQ(parse_schedule("wsd"), Kind::kWsd);
  EXPECT_THAT(refusal([] { parse_schedule("cosin"); }), HasSubstr("must be one of constant, linear, cosine, wsd"));
  EXPECT_EQ(steps_of_ratio(0.03, 1000), 30);
  EXPECT_EQ(steps_of_ratio(0.03, 101), 4);
  EXPECT_EQ(steps_of_ratio(0, 101), 0);
}

}  // namespace
}  // namespace kinglet
