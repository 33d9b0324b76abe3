#include "kinglet/text/rouge.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

#include "kinglet/text/answer_scores.h"
#include "kinglet/text/porter_stemmer.h"

namespace kinglet {
namespace {

using testing::ElementsAre;
using testing_support::refusal;

const nlohmann::json& rouge_golden() {
  static const nlohmann::json document = [] {
    std::ifstream file(std::string(KINGLET_SOURCE_DIR) + "/tests/golden/text/rouge.json");
    return nlohmann::json::parse(file);
  }();
  return document;
}

void expect_score(const RougeScore& score, const nlohmann::json& expected, const std::string& where) {
  EXPECT_DOUBLE_EQ(score.precision, expected[0].get<double>()) << where;
  EXPECT_DOUBLE_EQ(score.recall, expected[1].get<double>()) << where;
  EXPECT_DOUBLE_EQ(score.f, expected[2].get<double>()) << where;
}

TEST(PorterStem, IsThatOfNltk) {
  ASSERT_GT(rouge_golden()["stems"].size(), 2500U);
  for (const auto& [word, stem] : rouge_golden()["stems"].items()) {
    EXPECT_EQ(porter_stem(word), stem.get<std::string>()) << word;
  }
}

TEST(Rouge, IsThatOfRougeScore) {
  ASSERT_GT(rouge_golden()["pairs"].size(), 50U);
  for (const auto& pair : rouge_golden()["pairs"]) {
    for (const bool stem : {true, false}) {
      const auto reference = rouge_words(pair["reference"].get<std::string>(), stem);
      const auto prediction = rouge_words(pair["prediction"].get<std::string>(), stem);
      const auto& expected = pair[stem ? "stemmed" : "plain"];
      const std::string where = pair.dump();
      expect_score(rouge_l(reference, prediction), expected["rougeL"], where);
      expect_score(rouge_n(reference, prediction, 1), expected["rouge1"], where);
      expect_score(rouge_n(reference, prediction, 2), expected["rouge2"], where);
    }
  }
  const auto& multiple = rouge_golden()["multiple"];
  expect_score(
      rouge_l(multiple["references"].get<std::vector<std::string>>(), multiple["prediction"].get<std::string>()),
      multiple["score"], "multiple");
}

TEST(Rouge, WorkedExample) {
  const RougeScore score = rouge_l(std::vector<std::string>{"the cat sat down"}, "the cat sat");
  EXPECT_EQ(score.precision, 1);
  EXPECT_EQ(score.recall, .75);
  EXPECT_NEAR(score.f, .857142857, 1e-9);
  EXPECT_EQ(rouge_l(std::vector<std::string>{"the cat"}, "").f, 0);
  EXPECT_EQ(rouge_l(std::vector<std::string>{}, "the cat").f, 0);
  EXPECT_THAT(rouge_words("Running runs"), ElementsAre("run", "run"));
}

TEST(AnswerScores, ExactMatch) {
  EXPECT_EQ(plain_answer(" The  Eiffel-Tower,\nParis! "), "eiffeltower paris");
  EXPECT_TRUE(exact_match({"no", "an Apple."}, "apple"));
  EXPECT_FALSE(exact_match({"apples"}, "apple"));
  EXPECT_FALSE(exact_match({}, ""));
}

TEST(AnswerScores, DistinctGrams) {
  EXPECT_EQ(distinct_grams({"a b c", "a b d"}, 2), 0.75);
  EXPECT_EQ(distinct_grams({}, 2), 0);
}

TEST(AnswerScores, WinRate) {
  const WinRate result = win_rate({1, 2, 3, 4}, {0, 2, 4, 1});
  EXPECT_EQ(result.wins, 2U);
  EXPECT_EQ(result.ties, 1U);
  EXPECT_EQ(result.losses, 1U);
  EXPECT_EQ(result.rate, 0.625);
  // Wilson's interval for 10 of 10: its lower end is n / (n + z^2).
  const WinRate all = win_rate(std::vector<double>(10, 1.0), std::vector<double>(10, 0.0));
  EXPECT_NEAR(all.low, 10 / (10 + 1.959963984540054 * 1.959963984540054), 1e-12);
  EXPECT_NEAR(all.high, 1, 1e-12);
  EXPECT_EQ(win_rate({}, {}).rate, 0);
  EXPECT_NE(refusal([] { win_rate({1}, {}); }).find("same questions"), std::string::npos);
}

TEST(AnswerScores, MeanAndError) {
  const MeanAndError result = mean_and_error({1, 2, 3, 4});
  EXPECT_EQ(result.mean, 2.5);
  EXPECT_NEAR(result.error, std::sqrt(5.0 / 3 / 4), 1e-12);
  EXPECT_EQ(mean_and_error({7}).error, 0);
}

}  // namespace
}  // namespace kinglet
