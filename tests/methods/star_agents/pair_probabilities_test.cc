#include "kinglet/methods/star_agents/pair_probabilities.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/error.h"
#include "kinglet/base/rng.h"

namespace kinglet::star_agents {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

auto near_to(double value) { return DoubleNear(value, 5e-7); }

TEST(PairProbabilities, RewardsTheWinner) {
  PairProbabilities p(4);
  p.reward(1, 0.4, 0.1);
  EXPECT_THAT(std::vector(p.values().begin(), p.values().end()),
              ElementsAre(near_to(0.240385), near_to(0.278846), near_to(0.240385), near_to(0.240385)));
}

TEST(PairProbabilities, NormalisesOnceForSeveralRewards) {
  PairProbabilities together(4), reversed(4), one_by_one(4);
  together.reward(std::vector<Reward>{{1, 0.4}, {3, 0.1}}, 0.1);
  reversed.reward(std::vector<Reward>{{3, 0.1}, {1, 0.4}}, 0.1);
  one_by_one.reward(1, 0.4, 0.1);
  one_by_one.reward(3, 0.1, 0.1);
  EXPECT_THAT(std::vector(together.values().begin(), together.values().end()),
              ElementsAre(near_to(0.238095), near_to(0.276190), near_to(0.238095), near_to(0.247619)));
  EXPECT_THAT(std::vector(one_by_one.values().begin(), one_by_one.values().end()),
              ElementsAre(near_to(0.238005), near_to(0.276085), near_to(0.238005), near_to(0.247906)));
  EXPECT_TRUE(std::equal(together.values().begin(), together.values().end(), reversed.values().begin()));
}

TEST(PairProbabilities, KeepsWhatMustNotChange) {
  PairProbabilities p(9);
  Rng rng(1);
  for (int step = 0; step < 5000; ++step) {
    const std::size_t pair = 2 + rng.below(7);
    const std::vector<double> before(p.values().begin(), p.values().end());
    p.reward(pair, rng.uniform(), 1e-3);
    EXPECT_GE(p.values()[pair], before[pair]);
    EXPECT_EQ(p.values()[0], p.values()[1]);  // never rewarded: their ratio stays exact
    EXPECT_NEAR(std::accumulate(p.values().begin(), p.values().end(), 0.0), 1.0, 1e-12);
  }
  const std::vector<double> before(p.values().begin(), p.values().end());
  p.reward(3, 0, 0.1);
  p.reward(3, 1, 0);
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint64_t>(before[i]), std::bit_cast<std::uint64_t>(p.values()[i]));
  }
}

TEST(PairProbabilities, FollowsTheClosedFormOfAnAlwaysWinningPair) {
  PairProbabilities p(9);
  for (int step = 0; step < 70'000; ++step) p.reward(0, 1, 1e-4);
  EXPECT_NEAR(p.values()[0], 1 - (8.0 / 9) * std::pow(1.0001, -70'000), 1e-9);
  EXPECT_NEAR(p.values()[0], 0.999189, 5e-7);
  EXPECT_NEAR(p.values()[1], 1.013557e-4, 5e-11);
}

TEST(PairProbabilities, KeepsEveryPairAboveTheFloor) {
  PairProbabilities p(4, 0.02);
  for (int step = 0; step < 1000; ++step) p.reward(0, 1, 0.1);
  EXPECT_NEAR(p.values()[0], 0.94, 1e-12);
  for (std::size_t i = 1; i < 4; ++i) EXPECT_NEAR(p.values()[i], 0.02, 1e-12);
  EXPECT_THROW(PairProbabilities(4, 0.25), Error);
  EXPECT_THROW(PairProbabilities(4, std::nan("")), Error);
  EXPECT_THROW(PairProbabilities(0), Error);
}

}  // namespace
}  // namespace kinglet::star_agents
