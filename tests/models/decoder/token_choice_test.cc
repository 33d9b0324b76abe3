// The settings of sampling against transformers: tests/golden/models/make_token_choice.py.
#include "kinglet/models/decoder/token_choice.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

using nlohmann::json;

json golden_cases() {
  std::ifstream file(std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/models/token_choice.json");
  return json::parse(file);
}

TokenChoice settings_of(const json& values) {
  TokenChoice settings;
  settings.temperature = values.at("temperature").get<double>();
  settings.top_k = values.value("top_k", settings.top_k);
  settings.top_p = values.value("top_p", settings.top_p);
  settings.min_p = values.value("min_p", settings.min_p);
  settings.repetition_penalty = values.value("repetition_penalty", settings.repetition_penalty);
  return settings;
}

TEST(TokenChoice, LeavesWhatTransformersLeaves) {
  const json cases = golden_cases();
  ASSERT_GE(cases.size(), 20U);
  for (const json& one : cases) {
    SCOPED_TRACE(one.at("settings").dump());
    auto logits = one.at("logits").get<std::vector<float>>();
    const auto seen = one.at("seen").get<std::vector<TokenId>>();
    std::vector<TokenId> tokens;
    std::vector<double> probabilities;
    for (const Candidate& candidate : candidate_tokens(logits, seen, settings_of(one.at("settings")))) {
      tokens.push_back(candidate.token);
      probabilities.push_back(candidate.probability);
    }
    EXPECT_EQ(tokens, one.at("tokens").get<std::vector<TokenId>>());
    // transformers computes in fp32.
    EXPECT_THAT(probabilities,
                testing::Pointwise(testing::DoubleNear(2e-6), one.at("probabilities").get<std::vector<double>>()));
  }
}

TEST(TokenChoice, GreedyTakesTheLowestOfEquals) {
  std::vector<float> logits = {0.5F, 3.0F, -1.0F, 3.0F};
  EXPECT_EQ(choose_token(logits, {}, {}, 0, 0), 1);
  TokenChoice penalised;
  penalised.repetition_penalty = 1.5;
  EXPECT_EQ(choose_token(logits, std::vector<TokenId>{1}, penalised, 0, 0), 3);
}

TEST(TokenChoice, TiesWithTheLastOfTopKStay) {
  std::vector<float> logits = {1.0F, 2.0F, 1.0F, 1.0F, 0.0F};
  TokenChoice settings;
  settings.temperature = 1.0;
  settings.top_k = 2;
  EXPECT_EQ(candidate_tokens(logits, {}, settings).size(), 4U);
}

// A long tail: the head is sorted in several pieces.
TEST(TokenChoice, TopPOfAFlatDistribution) {
  std::vector<float> logits(10'000, 0.0F);
  logits[77] = 1.0F;
  TokenChoice settings;
  settings.temperature = 1.0;
  settings.top_p = 0.5;
  const auto all = candidate_tokens(logits, {}, settings);
  const double e = std::exp(1.0), total = 9999 + e;
  EXPECT_EQ(all.size(), static_cast<std::size_t>(std::ceil(0.5 * total - e)) + 1);
  EXPECT_EQ(all.front().token, 0);  // equals in order of ids
  EXPECT_EQ(all[all.size() - 1].token, static_cast<TokenId>(all.size() - 1));
}

TEST(TokenChoice, DrawsWithTheProbabilities) {
  TokenChoice settings;
  settings.temperature = 1.0;
  settings.seed = 11;
  std::map<TokenId, int> counts;
  constexpr int kDraws = 20'000;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<float> logits = {0.0F, std::log(2.0F), std::log(5.0F), -std::numeric_limits<float>::infinity()};
    ++counts[choose_token(logits, {}, settings, static_cast<std::uint64_t>(i / 100),
                          static_cast<std::uint64_t>(i % 100))];
  }
  // Five deviations of the rarest.
  EXPECT_NEAR(counts[0] / double{kDraws}, 1.0 / 8, 0.012);
  EXPECT_NEAR(counts[1] / double{kDraws}, 2.0 / 8, 0.016);
  EXPECT_NEAR(counts[2] / double{kDraws}, 5.0 / 8, 0.018);
  EXPECT_EQ(counts[3], 0);
}

TEST(TokenChoice, SeedSequenceAndPositionDecide) {
  const auto draw = [](std::uint64_t seed, std::uint64_t sequence, std::uint64_t position) {
    std::vector<float> flat(1'000'000, 0.0F);
    TokenChoice settings;
    settings.temperature = 1.0;
    settings.seed = seed;
    return choose_token(flat, {}, settings, sequence, position);
  };
  EXPECT_EQ(draw(1, 2, 3), draw(1, 2, 3));
  const std::set<TokenId> different = {draw(1, 2, 3), draw(1, 3, 2), draw(2, 1, 3), draw(1, 2, 4),
                                       draw(1, 3, 3), draw(2, 2, 3), draw(0, 0, 0)};
  EXPECT_EQ(different.size(), 7U);
}

TEST(TokenChoice, RefusesSettingsOutOfRange) {
  const double nan = std::nan("");
  for (const auto& change : std::vector<std::function<void(TokenChoice&)>>{
           [](TokenChoice& s) { s.temperature = -0.1; }, [&](TokenChoice& s) { s.temperature = nan; },
           [](TokenChoice& s) { s.top_k = -1; }, [](TokenChoice& s) { s.top_p = 0.0; },
           [](TokenChoice& s) { s.top_p = 1.1; }, [&](TokenChoice& s) { s.top_p = nan; },
           [](TokenChoice& s) { s.min_p = -0.1; }, [](TokenChoice& s) { s.min_p = 1.01; },
           [](TokenChoice& s) { s.repetition_penalty = 0.0; }, [&](TokenChoice& s) { s.repetition_penalty = nan; }}) {
    TokenChoice settings;
    change(settings);
    EXPECT_THROW(check_token_choice(settings), Error);
  }
  EXPECT_NO_THROW(check_token_choice({}));
}

TEST(TokenChoice, RefusesLogitsThatAreNoNumbers) {
  const float inf = std::numeric_limits<float>::infinity();
  for (std::vector<float> logits : {std::vector<float>{0.0F, std::nanf("")}, std::vector<float>{-inf, -inf},
                                    std::vector<float>{0.0F, inf}, std::vector<float>{}}) {
    EXPECT_THROW(choose_token(logits, {}, {}, 0, 0), Error);
  }
}

}  // namespace
}  // namespace kinglet
