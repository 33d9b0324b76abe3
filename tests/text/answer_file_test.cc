#include "kinglet/text/answer_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::refusal;

constexpr const char* kGood = R"({"answer": "the cat sat", "reference": "the cat sat down"}

{"answer": "Apple", "reference": ["pear", "an apple."]}
{"answer": "no", "reference": "yes", "more": 1}
)";

TEST(AnswerFile, IsScored) {
  const auto answers = parse_answers(kGood, "a.jsonl");
  ASSERT_EQ(answers.size(), 3U);
  const AnswerFileScores scores = score_answer_file(answers);
  EXPECT_NEAR(scores.rouge_l_of_each[0], 6.0 / 7, 1e-12);
  EXPECT_NEAR(scores.rouge_l.mean, (6.0 / 7 + 2.0 / 3 + 0) / 3, 1e-12);
  EXPECT_NEAR(scores.rouge_2.mean, (2 * 1 * (2.0 / 3) / (5.0 / 3)) / 3, 1e-12);
  EXPECT_NEAR(scores.exact_match, 1.0 / 3, 1e-12);
}

TEST(AnswerFile, Comparison) {
  auto answers = parse_answers(kGood, "a.jsonl"), others = answers;
  others[0].answer = "dog";
  others[2].answer = "yes";
  const WinRate result = compare_answers(answers, others);
  EXPECT_EQ(result.wins, 1U);
  EXPECT_EQ(result.ties, 1U);
  EXPECT_EQ(result.losses, 1U);
  others[1].references = {"plum"};
  EXPECT_THAT(refusal([&] { compare_answers(answers, others); }), HasSubstr("answer 2"));
  others.pop_back();
  others[1].references = answers[1].references;
  EXPECT_THAT(refusal([&] { compare_answers(answers, others); }), HasSubstr("same questions"));
}

TEST(AnswerFile, BadInputs) {
  const auto message = [](const char* text) { return refusal([&] { parse_answers(text, "a.jsonl"); }); };
  EXPECT_THAT(message(""), HasSubstr("no answers"));
  EXPECT_THAT(message("\n \n"), HasSubstr("no answers"));
  EXPECT_THAT(message("\n{"), HasSubstr("a.jsonl, line 2"));
  EXPECT_THAT(message("[1]"), HasSubstr("no JSON object"));
  EXPECT_THAT(message(R"({"answer": 1, "reference": "a"})"), HasSubstr("no text 'answer'"));
  EXPECT_THAT(message(R"({"answer": "a"})"), HasSubstr("no 'reference'"));
  EXPECT_THAT(message(R"({"answer": "a", "reference": []})"), HasSubstr("neither"));
  EXPECT_THAT(message(R"({"answer": "a", "reference": [1]})"), HasSubstr("no text"));
}

}  // namespace
}  // namespace kinglet
