// Finding answers, bringing them to one form, and checking arithmetic in prose; with GSM8K and MATH files where they
// are.
#include <cstdlib>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "kinglet/methods/fot/answer_text.h"
#include "kinglet/methods/fot/arithmetic_check.h"
#include "kinglet/methods/fot/math_answer.h"
#include "kinglet/text/json_text.h"

namespace kinglet::fot {
namespace {

TEST(NumericAnswer, FindsTheNumber) {
  EXPECT_EQ(numeric_answer("so it is\n#### 1,234"), "1234");
  EXPECT_EQ(numeric_answer("The answer is 18."), "18");
  EXPECT_EQ(numeric_answer("5 apples and 7 pears, so 12 fruits"), "12");
  EXPECT_EQ(numeric_answer("The answer is $1,050.00 per 2 weeks."), "1050");
  EXPECT_EQ(numeric_answer("#### -7"), "-7");
  EXPECT_EQ(numeric_answer("16 - 3 = 13, and 13-4=9"), "9");
  EXPECT_EQ(numeric_answer("The answer is \\(\\boxed{42}\\). Not 7."), "42");
  EXPECT_EQ(numeric_answer("Answer: 3/4 of it"), "3/4");
  EXPECT_EQ(numeric_answer("it is 25%"), "25");
  EXPECT_EQ(numeric_answer("the answer is 10-15"), "10");
  EXPECT_EQ(numeric_answer("#### $.50"), "1/2");
  EXPECT_FALSE(numeric_answer("I do not know"));
  EXPECT_FALSE(numeric_answer(""));
  EXPECT_EQ(numeric_answer("#### " + std::string(1000, '9')), std::string(1000, '9'));
}

TEST(Boxed, MatchesBraces) {
  EXPECT_EQ(last_boxed("\\boxed{\\frac{1}{2}} then \\boxed{\\{1,2\\}}"), "\\{1,2\\}");
  EXPECT_EQ(last_boxed("$\\boxed{a_{1}^{2}}$"), "a_{1}^{2}");
  EXPECT_EQ(last_boxed("\\boxed 7."), "7.");
  EXPECT_FALSE(last_boxed("\\boxed{1 + {2"));
  EXPECT_FALSE(last_boxed("\\boxed"));
  EXPECT_FALSE(last_boxed("nothing"));
  EXPECT_FALSE(math_answer("first \\boxed{1}, then \\boxed{2"));
}

TEST(MathAnswer, Finds) {
  EXPECT_EQ(math_answer("The final answer is $\\frac{3}{4}$."), "\\frac{3}{4}");
  EXPECT_EQ(math_answer("we get 3 and then 4"), "4");
  EXPECT_EQ(math_answer("Answer: x^2+1\nbecause"), "x^2+1");
}

TEST(ChoiceAnswer, Finds) {
  EXPECT_EQ(choice_answer("The answer is (B).", "ABCDE"), "B");
  EXPECT_EQ(choice_answer("A car is fast, so C.", "ABCDE"), "C");
  EXPECT_EQ(choice_answer("\\boxed{d}", "ABCDE"), "D");
  EXPECT_EQ(choice_answer("the answer is e)", "ABCDE"), "E");
  EXPECT_FALSE(choice_answer("the answer is F", "ABC"));
  EXPECT_FALSE(choice_answer("", "ABC"));
}

TEST(Thinking, IsNoPartOfTheAnswer) {
  EXPECT_EQ(without_thinking("<think>maybe 3</think>It is 4."), "It is 4.");
  EXPECT_EQ(without_thinking("maybe 3</think>It is 4."), "It is 4.");
  EXPECT_EQ(without_thinking("<think>for ever"), "");
  EXPECT_EQ(without_thinking("plain"), "plain");
  EXPECT_EQ(plain_answer("so\nThe answer is  The Red  Fox.\nbye"), "the red fox");
}

TEST(Refusal, IsNoAnswer) {
  EXPECT_TRUE(is_refusal("I don't know"));
  EXPECT_TRUE(is_refusal("I don\xE2\x80\x99t know the answer."));
  EXPECT_TRUE(is_refusal("  \n"));
  EXPECT_FALSE(is_refusal("It is 4."));
}

TEST(NormalForm, SpellsEqualAnswersAlike) {
  for (const char* half : {"\\frac{1}{2}", "0.5", "1/2", "\\dfrac12", "\\tfrac{1}2", ".50", "$\\frac12$"}) {
    EXPECT_EQ(normal_form(half), "1/2") << half;
  }
  EXPECT_EQ(normal_form("\\left( 3, \\frac{\\pi}{2} \\right)"), "(3,\\frac{\\pi}{2})");
  EXPECT_EQ(normal_form("(3, \\pi/2)"), "(3,\\frac{\\pi}{2})");
  EXPECT_EQ(normal_form("10\\%"), "10");
  EXPECT_EQ(normal_form("x=5"), "5");
  EXPECT_EQ(normal_form("k = -\\frac{6}{4}"), "-3/2");
  EXPECT_EQ(normal_form("\\$32,348"), "32348");
  EXPECT_EQ(normal_form("90^\\circ"), "90");
  EXPECT_EQ(normal_form("25\\text{ cm}^2"), "25");
  EXPECT_EQ(normal_form("\\text{Evelyn}"), "Evelyn");
  EXPECT_EQ(normal_form("\\sqrt3"), normal_form("\\sqrt{3}"));
  EXPECT_EQ(normal_form("(1, 0.50)"), "(1,1/2)");
  EXPECT_EQ(normal_form("11\\sqrt2"), "11\\sqrt{2}");
  EXPECT_NE(normal_form("(1,2)"), normal_form("[1,2]"));
  EXPECT_NE(normal_form("\\leftarrow"), "arrow");
}

TEST(NormalForm, StandsHostileText) {
  for (const char* text :
       {"\\frac{", "\\text{", "((((", "\\frac", "{}}}", "\\sqrt", "=", "x=", "", "\\frac1", "\\text{}}"}) {
    normal_form(text);
  }
  normal_form(std::string(100000, '{'));
  normal_form(std::string(2000, '('));
  std::string nested;
  for (int i = 0; i < 300; ++i) nested += "\\frac{";
  normal_form(nested);
}

TEST(Arithmetic, ChecksEqualitiesInText) {
  EXPECT_TRUE(wrong_equalities("16 - 3 - 4 = <<16-3-4=9>>9 eggs. She makes 9 * 2 = $18.").empty());
  const auto wrong = wrong_equalities("He has 5. So 3 + 4 = 8 apples, then <<8*2=15>>15.");
  ASSERT_EQ(wrong.size(), 2U);
  EXPECT_EQ(wrong[0].text, "3 + 4 = 8");
  EXPECT_EQ(wrong[0].computed, "7");
  EXPECT_EQ(wrong[1].text, "8*2 = 15");
  EXPECT_TRUE(wrong_equalities("10 / 3 = 3.33").empty());
  EXPECT_EQ(wrong_equalities("10 / 3 = 3.5").size(), 1U);
  EXPECT_TRUE(wrong_equalities("x = 5, y = 3 * 4, 2 + 3 = 1 + 4").empty());
}

// Files that are not part of the project: KINGLET_REASONING_DATA is a folder with gsm8k-dev.jsonl and
// math500-dev.jsonl.
std::ifstream data_file(const std::string& name) {
  const char* folder = std::getenv("KINGLET_REASONING_DATA");
  return std::ifstream(std::string(folder == nullptr ? "/nowhere" : folder) + "/" + name);
}

TEST(AnswerData, Gsm8kSolutionsCarryTheirAnswers) {
  std::ifstream file = data_file("gsm8k-dev.jsonl");
  if (!file) GTEST_SKIP() << "set KINGLET_REASONING_DATA";
  std::string line;
  int questions = 0, false_alarms = 0;
  while (std::getline(file, line)) {
    const Json record = parse_json(line, "gsm8k");
    const std::string solution = record["answer"];
    const std::size_t mark = solution.rfind("####");
    std::string label = solution.substr(mark + 5);
    std::erase(label, ',');
    EXPECT_EQ(numeric_answer(solution), label) << line;
    EXPECT_EQ(numeric_answer(solution.substr(0, mark) + "The answer is $" + solution.substr(mark + 5) + "."), label);
    false_alarms += wrong_equalities(solution).empty() ? 0 : 1;
    ++questions;
  }
  EXPECT_GT(questions, 100);
  EXPECT_LE(false_alarms, questions / 50);
  RecordProperty("solutions_with_wrong_equalities", false_alarms);
}

TEST(AnswerData, MathSolutionsCarryTheirAnswers) {
  std::ifstream file = data_file("math500-dev.jsonl");
  if (!file) GTEST_SKIP() << "set KINGLET_REASONING_DATA";
  std::string line;
  int questions = 0, different = 0;
  while (std::getline(file, line)) {
    const Json record = parse_json(line, "math");
    const auto found = math_answer(record["solution"].get<std::string>());
    ASSERT_TRUE(found) << line;
    const std::string label = record["answer"];
    if (!same_answer(*found, label)) {
      ++different;
      std::printf("%s | %s\n", found->c_str(), label.c_str());
    }
    EXPECT_EQ(normal_form(normal_form(label)), normal_form(label));
    ++questions;
  }
  EXPECT_GE(questions, 100);
  EXPECT_LE(different, 1);
}

}  // namespace
}  // namespace kinglet::fot
