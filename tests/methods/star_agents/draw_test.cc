#include "kinglet/methods/star_agents/draw.h"

#include <algorithm>
#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kinglet::star_agents {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;
using testing::UnorderedElementsAre;

constexpr std::array kProbabilities{0.5, 0.3, 0.15, 0.05};

TEST(Draw, StreamsDependOnEveryPartOfTheirKey) {
  EXPECT_EQ(stream_of(1, "seed", "pairs").next(), stream_of(1, "seed", "pairs").next());
  EXPECT_NE(stream_of(1, "seed", "pairs").next(), stream_of(2, "seed", "pairs").next());
  EXPECT_NE(stream_of(1, "seed", "pairs").next(), stream_of(1, "seed", "order").next());
  EXPECT_NE(stream_of(1, "ab", "c").next(), stream_of(1, "a", "bc").next());
}

TEST(Draw, AsManyAsThereAreTakesEveryPairOnce) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    EXPECT_THAT(draw_pairs(kProbabilities, {}, {}, {4, 2}, rng), UnorderedElementsAre(0, 1, 2, 3));
  }
}

TEST(Draw, WithoutMemoryIsPlainSampling) {
  const std::vector<std::size_t> remembered{3, 3, 2};
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng plain(seed), empty_bank(seed), nothing_retrieved(seed);
    const auto expected = draw_different(kProbabilities, {0, 1, 2, 3}, 3, plain);
    EXPECT_EQ(draw_pairs(kProbabilities, {}, {}, {3, 2}, empty_bank), expected);
    EXPECT_EQ(draw_pairs(kProbabilities, remembered, {}, {3, 0}, nothing_retrieved), expected);
  }
}

TEST(Draw, AlwaysTakesTheOnlyRememberedPair) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const auto drawn = draw_pairs(kProbabilities, std::vector<std::size_t>{3}, {}, {2, 1}, rng);
    EXPECT_EQ(drawn.size(), 2U);
    EXPECT_EQ(drawn.front(), 3U);
  }
}

TEST(Draw, FillsFromTheRestWhenMemoryHoldsTooFew) {
  Rng rng(3);
  const auto drawn = draw_pairs(kProbabilities, std::vector<std::size_t>{2, 2, 2}, {}, {4, 3}, rng);
  EXPECT_EQ(drawn.front(), 2U);
  EXPECT_THAT(drawn, UnorderedElementsAre(0, 1, 2, 3));
}

TEST(Draw, LeavesOutWhatCannotBeCalled) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const auto drawn =
        draw_pairs(kProbabilities, std::vector<std::size_t>{0, 1}, {false, true, true, true}, {3, 2}, rng);
    EXPECT_THAT(drawn, Not(Contains(0U)));
    EXPECT_EQ(drawn.size(), 3U);
  }
}

TEST(Draw, FollowsTheProbabilities) {
  std::array<int, 4> first{}, any{};
  constexpr int kDraws = 40'000;
  for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
    Rng rng(seed);
    const auto drawn = draw_different(kProbabilities, {0, 1, 2, 3}, 2, rng);
    ++first[drawn[0]];
    for (const std::size_t pair : drawn) ++any[pair];
  }
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(first[i] / double{kDraws}, kProbabilities[i], 0.01);
    double second = 0;  // drawn after another one
    for (std::size_t j = 0; j < 4; ++j) {
      if (j != i) second += kProbabilities[j] * kProbabilities[i] / (1 - kProbabilities[j]);
    }
    EXPECT_NEAR(any[i] / double{kDraws}, kProbabilities[i] + second, 0.01);
  }
}

TEST(Draw, NeverTakesAPairWithoutProbability) {
  Rng rng(1);
  EXPECT_THAT(draw_different(std::array{0.0, 1.0, 0.0}, {0, 1, 2}, 3, rng), ElementsAre(1U));
}

}  // namespace
}  // namespace kinglet::star_agents
