#include "kinglet/methods/star_agents/dual_score.h"

#include <array>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kinglet::star_agents {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

using Gaps = std::vector<std::optional<double>>;
constexpr DualOptions kRaw{.raw = true};

auto near(double value) { return DoubleNear(value, 5e-7); }

Likelihoods scored(double conditional, double unconditional, std::int64_t tokens = 10, std::int64_t bytes = 40) {
  return {ScoreStatus::kScored, conditional, unconditional, tokens, bytes, false};
}

TEST(Ifd, IsTheRatioOfPerplexities) {
  const Likelihoods l = likelihoods_of(std::array{-0.5, -1.0, -0.3}, std::array{-2.0, -1.5, -1.0}, 12);
  ASSERT_TRUE(l.scored());
  EXPECT_NEAR(l.conditional, 0.6, 1e-12);
  EXPECT_NEAR(l.unconditional, 1.5, 1e-12);
  EXPECT_EQ(l.tokens, 3);
  EXPECT_NEAR(*ifd_perplexity(l), 0.406570, 5e-7);
  EXPECT_NEAR(*ifd_loss(l), 0.4, 1e-12);
  EXPECT_NEAR(*ifd_perplexity(l, IfdUnit::kByte), std::exp(-0.9 * 3 / 12), 1e-12);
}

TEST(Ifd, IsOneWhenTheInstructionTellsNothing) {
  const std::array same{-0.7, -2.0};
  EXPECT_EQ(*ifd_perplexity(likelihoods_of(same, same, 5)), 1.0);
}

TEST(Ifd, WhatCannotBeScoredHasNoValue) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(likelihoods_of({}, {}, 0).status, ScoreStatus::kEmpty);
  EXPECT_EQ(likelihoods_of(std::array{std::nan("")}, std::array{-1.0}, 1).status, ScoreStatus::kNotFinite);
  EXPECT_EQ(likelihoods_of(std::array{-1.0}, std::array{-infinity}, 1).status, ScoreStatus::kNotFinite);
  EXPECT_EQ(likelihoods_of(std::array{-1e4}, std::array{-1.0}, 1).status, ScoreStatus::kNotFinite);
  EXPECT_EQ(likelihoods_of(std::array{-1.0}, std::array{0.0}, 1).status, ScoreStatus::kNothingToGuess);
  for (const ScoreStatus status : {ScoreStatus::kEmpty, ScoreStatus::kPromptTooLong, ScoreStatus::kFailed}) {
    Likelihoods l = scored(1, 2);
    l.status = status;
    EXPECT_FALSE(ifd_perplexity(l) || ifd_loss(l) || ifd_gap(l, scored(1, 2)) || ifd_gap(scored(1, 2), l));
    EXPECT_FALSE(name_of(status).empty());
  }
}

TEST(DualScore, DividesByTheLargestGap) {
  const Gaps gaps{0.30, 0.12, -0.05, 0.06};
  EXPECT_THAT(dual_scores(gaps, kRaw), ElementsAre(near(1), near(0.4), near(-0.166667), near(0.2)));
  EXPECT_THAT(dual_scores(gaps), ElementsAre(near(1), near(0.4), near(0), near(0.2)));
}

TEST(DualScore, GuardsAgainstANegativeMaximum) {
  const Gaps gaps{-0.05, -0.10};
  EXPECT_THAT(dual_scores(gaps, kRaw), ElementsAre(near(1), near(2)));
  EXPECT_THAT(dual_scores(gaps), ElementsAre(0, 0));
}

TEST(DualScore, TheSameModelTwiceTellsNothing) {
  const Likelihoods l = scored(0.5, 1.5);
  const auto gap = ifd_gap(l, l);
  EXPECT_EQ(*gap, 0);
  EXPECT_THAT(dual_scores(Gaps{gap, gap}), ElementsAre(0, 0));
  EXPECT_THAT(dual_scores(Gaps{gap, gap}, kRaw), ElementsAre(0, 0));
  EXPECT_THAT(dual_scores(Gaps{1e-7, 1e-9}), ElementsAre(0, 0));  // too small to mean anything
}

TEST(DualScore, ClipsOverConfidentScorers) {
  const Likelihoods garbage_small = scored(2.3, 1.0), garbage_large = scored(1.9, 1.0);
  EXPECT_GT(*ifd_gap(garbage_small, garbage_large, kRaw), 1);
  EXPECT_EQ(*ifd_gap(garbage_small, garbage_large), 0);
  EXPECT_NEAR(*ifd_gap(scored(0.5, 1), scored(0.2, 1)), std::exp(-0.5) - std::exp(-0.8), 1e-12);
}

TEST(DualScore, LeavesUnscoredCandidatesOut) {
  EXPECT_THAT(dual_scores(Gaps{std::nullopt, 0.2, 0.1}), ElementsAre(0, near(1), near(0.5)));
  EXPECT_THAT(dual_scores(Gaps{std::nullopt, -0.1}), ElementsAre(0, 0));
  EXPECT_THAT(dual_scores({}), ElementsAre());
}

}  // namespace
}  // namespace kinglet::star_agents
