#include "kinglet/methods/star_agents/selection.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/rng.h"
#include "kinglet/methods/star_agents/dual_score.h"

namespace kinglet::star_agents {
namespace {

using testing::ElementsAre;

using Verdicts = std::vector<std::optional<double>>;

// Candidate 0 is a base without a gap; texts all differ.
std::vector<Candidate> candidates_of(const std::vector<double>& duals) {
  std::vector<Candidate> result{{.dual = 0, .text = 0}};
  for (std::size_t i = 0; i < duals.size(); ++i) {
    result.push_back({.dual = duals[i], .gap = duals[i], .text = i + 1});
  }
  return result;
}

TEST(Selection, KeepsTheLargestProduct) {
  const std::vector<std::optional<double>> gaps{0.30, 0.12, -0.05, 0.06};
  const Choice choice = choose(candidates_of(dual_scores(gaps)), Verdicts{0.5, 0, 1, 1, 0.5});
  EXPECT_EQ(choice.winner, 2U);
  EXPECT_NEAR(choice.composite, 0.4, 1e-12);
}

TEST(Selection, KeepsTheBaseWhenNothingScores) {
  EXPECT_EQ(choose(candidates_of({0, 0}), Verdicts{0.5, 1, 1}).winner, 0U);
  EXPECT_EQ(choose(candidates_of({1, 0.5}), Verdicts{0.5, 0, 0}).winner, 0U);
  EXPECT_EQ(choose(candidates_of({1, 0.5}), Verdicts{0.5, 0, 0}, false).winner, 0U);
  EXPECT_EQ(choose(candidates_of({}), Verdicts{0.5}).winner, 0U);
}

TEST(Selection, TheBaseCompetesAsATie) {
  std::vector<Candidate> candidates = candidates_of({0.6, 0.4});
  candidates[0].dual = 1;
  EXPECT_EQ(choose(candidates, Verdicts{0.5, 0.5, 1}).winner, 0U);  // 0.5 against 0.3 and 0.4
  EXPECT_EQ(choose(candidates, Verdicts{0.5, 0.5, 1}, false).winner, 2U);
  EXPECT_EQ(choose(candidates, Verdicts{0.5, 1, 1}).winner, 1U);
}

TEST(Selection, BreaksTiesByJudgeThenGapThenIndex) {
  std::vector<Candidate> candidates = candidates_of({1, 0.5, 0.5, 0.5});
  candidates[3].gap = 0.7;
  candidates[4].gap = 0.7;
  EXPECT_EQ(choose(candidates, Verdicts{0.5, 0.5, 1, 0, 0}).winner, 2U);  // both 0.5
  EXPECT_EQ(choose(candidates, Verdicts{0.5, 0.5, 1, 1, 1}).winner, 3U);
}

TEST(Selection, UnusableCandidatesNeverWin) {
  std::vector<Candidate> candidates = candidates_of({1, 0.5});
  candidates[1].usable = false;
  EXPECT_EQ(choose(candidates, Verdicts{0.5, 1, 1}).winner, 2U);
}

TEST(Selection, WithoutOneOfTheScoresTheOtherDecides) {
  EXPECT_EQ(choose(candidates_of({1, 1, 1}), Verdicts{0.5, 0.5, 1, 0}).winner, 2U);    // judge only
  EXPECT_EQ(choose(candidates_of({0.2, 0.9, 1}), Verdicts{0.5, 1, 1, 1}).winner, 3U);  // dual only
  // A large scorer that finds everything trivial, without clipping: the order of plain IFD.
  const Likelihoods trivial{ScoreStatus::kScored, 0, 800, 1, 1, false};
  std::vector<std::optional<double>> gaps;
  for (const double conditional : {0.9, 1.4, 0.2}) {
    gaps.push_back(ifd_gap({ScoreStatus::kScored, conditional, 1, 1, 1, false}, trivial, {.raw = true}));
  }
  EXPECT_EQ(choose(candidates_of(dual_scores(gaps, {.raw = true})), Verdicts{0.5, 1, 1, 1}).winner, 2U);
}

TEST(LazyJudging, StopsWhenTheWinnerIsCertain) {
  LazyJudging judging(candidates_of({0.4, 1, 0.2}));
  ASSERT_EQ(judging.next(), 2U);
  judging.record(2, 1);
  EXPECT_EQ(judging.next(), std::nullopt);
  EXPECT_EQ(judging.choice().winner, 2U);
}

TEST(LazyJudging, EqualTextsShareAVerdictAndTheBaseTextIsATie) {
  std::vector<Candidate> candidates = candidates_of({1, 0.9, 0.8});
  candidates[0].dual = 0.1;
  candidates[1].text = 7;
  candidates[2].text = 7;
  candidates[3].text = candidates[0].text;
  LazyJudging judging(candidates);
  EXPECT_THAT(judging.all_open(), ElementsAre(1U));
  judging.record(1, 0);
  EXPECT_EQ(judging.next(), std::nullopt);
  EXPECT_EQ(judging.verdicts()[2], 0.0);
  EXPECT_EQ(judging.choice().winner, 3U);
}

TEST(LazyJudging, FindsTheWinnerOfFullJudging) {
  Rng rng(11);
  std::size_t asked = 0, full = 0;
  for (int table = 0; table < 10'000; ++table) {
    const std::size_t count = 1 + rng.below(6);
    std::vector<Candidate> candidates(count + 1);
    Verdicts verdicts(count + 1);
    for (std::size_t i = 0; i <= count; ++i) {
      // Few levels, so that ties are frequent.
      candidates[i] = {.dual = static_cast<double>(rng.below(5)) / 4,
                       .gap = static_cast<double>(rng.below(3)),
                       .usable = rng.below(10) > 0,
                       .text = i};
      verdicts[i] = static_cast<double>(rng.below(3)) / 2;
    }
    verdicts[0] = 0.5;
    if (rng.below(4) == 0) {
      candidates[count].text = candidates[0].text;
      verdicts[count] = 0.5;
    }
    const bool base_competes = rng.below(2) == 0;
    LazyJudging judging(candidates, base_competes);
    full += judging.all_open().size();
    while (const auto next = judging.next()) {
      judging.record(*next, *verdicts[*next]);
      ++asked;
    }
    const Choice lazy = judging.choice(), all = choose(candidates, verdicts, base_competes);
    ASSERT_EQ(lazy.winner, all.winner) << table;
    ASSERT_EQ(lazy.composite, all.composite);
    ASSERT_TRUE(lazy.winner == 0 || lazy.judge > 0);
  }
  EXPECT_LT(static_cast<double>(asked), 0.8 * static_cast<double>(full));
}

}  // namespace
}  // namespace kinglet::star_agents
