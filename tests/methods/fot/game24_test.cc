#include "kinglet/methods/fot/game24.h"

#include <gtest/gtest.h>

#include "kinglet/base/error.h"
#include "kinglet/methods/fot/game24_step.h"

namespace kinglet::fot {
namespace {

std::vector<Rational> state(std::initializer_list<int> numbers) {
  std::vector<Rational> result;
  for (const int number : numbers) result.emplace_back(number);
  return result;
}

std::string corrected(std::string_view line, std::initializer_list<int> numbers, StepRules rules = StepRules::kExact) {
  const CheckedStep checked = check_step(line, state(numbers), rules);
  return checked.step ? to_text(*checked.step) : "dropped: " + std::string(name_of(checked.fault));
}

TEST(Game24, KnowsHowManyPuzzlesHaveASolution) {
  const auto puzzles = solvable_puzzles(Intermediates::kAny);
  EXPECT_EQ(puzzles.size(), 1362U);
  EXPECT_EQ(solvable_puzzles(Intermediates::kWhole).size(), 1346U);
  for (const Puzzle& puzzle : puzzles) {
    const auto solution = solve24(numbers_of(puzzle), Intermediates::kAny);
    ASSERT_TRUE(solution) << to_text(puzzle);
    const Verdict verdict = verify24(puzzle, *solution);
    EXPECT_TRUE(verdict.correct) << to_text(puzzle) << ": " << *solution << ": " << verdict.reason;
  }
}

TEST(Game24, SomePuzzlesNeedFractions) {
  for (const Puzzle& puzzle : {Puzzle{1, 5, 5, 5}, Puzzle{3, 3, 8, 8}, Puzzle{1, 3, 4, 6}}) {
    EXPECT_FALSE(solve24(numbers_of(puzzle), Intermediates::kWhole)) << to_text(puzzle);
    EXPECT_TRUE(solve24(numbers_of(puzzle), Intermediates::kAny)) << to_text(puzzle);
  }
  EXPECT_FALSE(solve24(state({1, 1, 1, 1}), Intermediates::kAny));
}

TEST(Game24, CountsOrdersOnce) {
  EXPECT_EQ(distinct_orders({4, 9, 10, 13}).size(), 24U);
  EXPECT_EQ(distinct_orders({5, 5, 5, 9}).size(), 4U);
  EXPECT_EQ(distinct_orders({13, 9, 4, 10}).front(), (Puzzle{13, 9, 4, 10}));
  EXPECT_EQ(distinct_orders({6, 6, 6, 6}).size(), 1U);
}

TEST(Game24, ReadsPuzzles) {
  EXPECT_EQ(parse_puzzle(" 4, 9 10\t13\r", "x"), (Puzzle{4, 9, 10, 13}));
  for (const char* wrong : {"", "4 9 10", "1 2 3 4 5", "1 2 3 x", "1 2 3 -4", "1 2 3 99999", "1.5 2 3 4"}) {
    EXPECT_THROW(parse_puzzle(wrong, "x"), Error) << wrong;
  }
}

TEST(Game24, VerifiesExpressions) {
  const Puzzle puzzle = {4, 5, 6, 10};
  EXPECT_TRUE(verify24(puzzle, "(5 * (10 - 4)) - 6").correct);
  EXPECT_TRUE(verify24(puzzle, "Answer: 5 * (10 - 4) - 6 = 24").correct);
  EXPECT_EQ(verify24(puzzle, "5 * (10 - 4) - 6 = 25").reason, "is said to be 25");
  EXPECT_EQ(verify24(puzzle, "4 * 6").reason, "uses the numbers 4 6 and not 4 5 6 10");
  EXPECT_EQ(verify24(puzzle, "4 + 5 + 6 + 10").reason, "is 25 and not 24");
  EXPECT_FALSE(verify24(puzzle, "45 / 7 = 6").correct);
  EXPECT_FALSE(verify24({4, 4, 6, 1}, "4 * 6 * 1").correct);  // a multiset, not a set
  EXPECT_FALSE(verify24(puzzle, "24").correct);
  EXPECT_FALSE(verify24(puzzle, "").correct);
}

TEST(Game24Step, CorrectsWhatIsLeft) {
  EXPECT_EQ(corrected("4 + 5 = 9 (left: 6 10 5)", {4, 5, 6, 10}), "4 + 5 = 9 (left: 9 6 10)");
  EXPECT_EQ(corrected("4 + 5 = 9 (left: 6 9 10)", {4, 5, 6, 10}), "4 + 5 = 9 (left: 6 9 10)");
  EXPECT_EQ(corrected("4 + 7 = 11 (left: 11 6 10)", {4, 5, 6, 10}), "dropped: operands");
  EXPECT_EQ(corrected("10 / 4 = 2.5 (left: 2.5 5 6)", {4, 5, 6, 10}), "dropped: fraction");
  EXPECT_EQ(corrected("6 - (-3) = 9 (left: 9 1)", {6, -3, 1}), "6 - (-3) = 9 (left: 9 1)");
  EXPECT_EQ(corrected("45 / 7 = 6 (left: 6 1)", {45, 7, 1}), "dropped: arithmetic");
  EXPECT_EQ(corrected("45 / 7 = 6 (left: 6 1)", {45, 7, 1}, StepRules::kLeftOnly), "45 / 7 = 6 (left: 6 1)");
  EXPECT_EQ(corrected("4 + 4 = 8 (left: 8 5 6)", {4, 5, 6, 10}), "dropped: operands");
  EXPECT_EQ(corrected("4 + 5 = 9 (left: 9)", {4, 5, 6, 10}), "dropped: too few left");
}

TEST(Game24Step, ReadsWhatModelsWrite) {
  const std::string wanted = "4 + 5 = 9 (left: 9 6 10)";
  for (const char* line : {"1. 4 + 5 = 9 (left: 9 6 10)", "12) 4+5=9 (left: 9, 6, 10)", "- 4 + 5 = 9 (left: 9 6 10)",
                           "\xE2\x80\xA2 4 + 5 = 9 (left: 9 6 10)", "* 4 + 5 = 9 (left:9 6 10)"}) {
    const auto step = parse_step(line);
    ASSERT_TRUE(step) << line;
    EXPECT_EQ(to_text(*step), wanted) << line;
  }
  EXPECT_EQ(to_text(parse_step("4-3=1 (left: 1 2)").value()), "4 - 3 = 1 (left: 1 2)");
  EXPECT_EQ(to_text(parse_step("8/2=4 (left: 4 2)").value()), "8 / 2 = 4 (left: 4 2)");
  EXPECT_EQ(to_text(parse_step("3 \xC3\x97 4 = 12 (left: 12 1)").value()), "3 * 4 = 12 (left: 12 1)");
  EXPECT_EQ(to_text(parse_step("11 - -3 = 14 (left: 14 1)").value()), "11 - (-3) = 14 (left: 14 1)");
  EXPECT_EQ(to_text(parse_step("5/2 * 4 = 10 (left: 10 1)").value()), "5/2 * 4 = 10 (left: 10 1)");
  for (const char* wrong : {"", "4 + 5", "4 + 5 = 9", "4 ? 5 = 9 (left: 9 6 10)", "4 + 5 = 9 (left: 9 6",
                            "4 + 5 = 9 (left: nine)", "four + 5 = 9 (left: 9 6 10)", "(left: 1 2 3)"}) {
    EXPECT_FALSE(parse_step(wrong)) << wrong;
  }
  EXPECT_FALSE(parse_step(std::string(100000, '1')));
}

TEST(Game24Step, FractionsWhereAllowed) {
  const auto checked = check_step("1 / 5 = 1/5 (left: 1/5 5 5)", state({1, 5, 5, 5}), StepRules::kExact, true);
  ASSERT_TRUE(checked.step);
  EXPECT_EQ(to_text(*checked.step), "1 / 5 = 1/5 (left: 1/5 5 5)");
}

TEST(Game24Step, ClosesAndSpellsTheExpression) {
  EXPECT_EQ(to_text(closing_step(Rational(4), Rational(6)).value()), "4 * 6 = 24 (left: 24)");
  EXPECT_EQ(to_text(closing_step(Rational(6), Rational(30)).value()), "30 - 6 = 24 (left: 24)");
  EXPECT_EQ(to_text(closing_step(*Rational::of(1, 3), Rational(8)).value()), "8 / 1/3 = 24 (left: 24)");
  EXPECT_FALSE(closing_step(Rational(1), Rational(1)));
  const auto steps = {*parse_step("10 - 4 = 6 (left: 5 6 6)"), *parse_step("5 * 6 = 30 (left: 30 6)"),
                      *parse_step("30 - 6 = 24 (left: 24)")};
  const std::string expression = expression_of(state({4, 5, 6, 10}), steps);
  EXPECT_TRUE(verify24({4, 5, 6, 10}, expression).correct) << expression;
}

// Proposing every step and keeping every node solves every puzzle that has a solution.
TEST(Game24Step, ExhaustiveStepsSolveAllPuzzles) {
  const auto reaches = [](const auto& self, const std::vector<Rational>& numbers) -> bool {
    if (numbers.size() == 2) return closing_step(numbers[0], numbers[1]).has_value();
    for (const Game24Step& step : all_steps(numbers, true)) {
      const CheckedStep checked = check_step(to_text(step), numbers, StepRules::kExact, true);
      if (!checked.step || checked.rewritten) return ADD_FAILURE() << to_text(step), false;
      if (self(self, checked.step->left)) return true;
    }
    return false;
  };
  for (const Puzzle& puzzle : solvable_puzzles(Intermediates::kAny)) {
    EXPECT_TRUE(reaches(reaches, numbers_of(puzzle))) << to_text(puzzle);
  }
}

}  // namespace
}  // namespace kinglet::fot
