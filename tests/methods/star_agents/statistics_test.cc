// What the numbers of a run say about its set-up.
#include "kinglet/methods/star_agents/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kinglet::star_agents {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

Settings one_pair() {
  Settings settings;
  settings.instruction_agents.emplace_back();
  settings.response_agents.push_back({.name = "agent", .model = "model"});
  settings.pairs.push_back({0, 0});
  settings.fit = Fit::kNone;
  return settings;
}

RunStatistics judged(int seeds, Verdict shown_first, Verdict shown_second) {
  RunStatistics statistics(one_pair());
  for (int i = 0; i < seeds; ++i) {
    SeedOutcome outcome;
    outcome.candidates.resize(2);
    CandidateOutcome& candidate = outcome.candidates[1];
    candidate.pair = 0;
    candidate.shown_first = shown_first;
    candidate.shown_second = shown_second;
    candidate.judge = judge_score(shown_first, shown_second);
    outcome.judge_calls = 2;
    statistics.add(Seed(), outcome);
  }
  return statistics;
}

TEST(Statistics, AJudgeThatLooksAtThePlaceOnlyIsNoticed) {
  EXPECT_THAT(judged(30, Verdict::kFirst, Verdict::kFirst).warnings(), Contains(HasSubstr("30 of 30 comparisons")));
  EXPECT_THAT(judged(30, Verdict::kSecond, Verdict::kSecond).warnings(), Contains(HasSubstr("same place")));
  for (const auto& [first, second] : {std::pair{Verdict::kFirst, Verdict::kSecond},
                                      {Verdict::kSecond, Verdict::kFirst},
                                      {Verdict::kTie, Verdict::kTie}}) {
    EXPECT_THAT(judged(30, first, second).warnings(), Not(Contains(HasSubstr("same place"))));
  }
  EXPECT_THAT(judged(5, Verdict::kFirst, Verdict::kFirst).warnings(), Not(Contains(HasSubstr("same place"))))
      << "too few to say";
  EXPECT_EQ(judged(7, Verdict::kFirst, Verdict::kFirst).to_json()["same_place"], 7);
}

}  // namespace
}  // namespace kinglet::star_agents
