#include "kinglet/methods/fot/rational.h"

#include <limits>

#include <gtest/gtest.h>

#include "kinglet/methods/fot/expression.h"

namespace kinglet::fot {
namespace {

std::string value_of(std::string_view text) {
  const Evaluation evaluation = evaluate(text);
  return evaluation.value ? evaluation.value->to_text() : "error: " + evaluation.error;
}

TEST(Rational, ReducesAndCompares) {
  EXPECT_EQ(Rational::of(6, -4)->to_text(), "-3/2");
  EXPECT_EQ(Rational::of(0, 5), Rational(0));
  EXPECT_FALSE(Rational::of(1, 0));
  EXPECT_LT(*Rational::of(1, 3), *Rational::of(1, 2));
  EXPECT_GT(Rational(std::numeric_limits<std::int64_t>::max()), *Rational::of(-1, 2));
}

TEST(Rational, RefusesWhatDoesNotFit) {
  const Rational large(std::numeric_limits<std::int64_t>::max());
  EXPECT_FALSE(apply(Operation::kAdd, large, Rational(1)));
  EXPECT_FALSE(apply(Operation::kMultiply, large, Rational(2)));
  EXPECT_FALSE(apply(Operation::kDivide, Rational(1), Rational(0)));
  EXPECT_EQ(apply(Operation::kSubtract, large, large), Rational(0));
  EXPECT_FALSE(Rational::of(std::numeric_limits<std::int64_t>::min(), 1));
  EXPECT_FALSE(parse_decimal(std::string(1'000'000, '9')));
}

TEST(Rational, ReadsDecimals) {
  EXPECT_EQ(parse_decimal("2.50"), Rational::of(5, 2));
  EXPECT_EQ(parse_decimal("-.5"), Rational::of(-1, 2));
  EXPECT_EQ(parse_decimal("1,234,567"), Rational(1234567));
  for (const char* wrong : {"", "-", ".", "1,23", "12,3456", ",123", "1.2.3", "1e9", "--1", "1,234,56", "0x10"}) {
    EXPECT_FALSE(parse_decimal(wrong)) << wrong;
  }
}

TEST(Expression, EvaluatesExactly) {
  EXPECT_EQ(value_of("8 / (3 - 8/3)"), "24");
  EXPECT_EQ(value_of("5 * (5 - 1 / 5)"), "24");
  EXPECT_EQ(value_of("2 - 3 - 4"), "-5");
  EXPECT_EQ(value_of("-(2 + 3) * --4"), "-20");
  EXPECT_EQ(value_of("3 \xC3\x97 8 \xC3\xB7 2 \xE2\x88\x92 1"), "11");
  EXPECT_EQ(value_of("\\left(4 \\times 7\\right) \\div 2"), "14");
  EXPECT_EQ(value_of("3 x 8"), "24");
  EXPECT_EQ(value_of("[4+8]*2"), "24");
}

TEST(Expression, SaysWhatIsWrong) {
  EXPECT_EQ(value_of("(1 + 2"), "error: a bracket is not closed");
  EXPECT_EQ(value_of("1 / (2 - 2)"), "error: divides by zero");
  EXPECT_EQ(value_of("1 + "), "error: a number is missing at the end");
  EXPECT_EQ(value_of("2 ** 3"), "error: '* 3' is not a number");
  EXPECT_EQ(value_of("__import__('os')"), "error: '__import__('' is not a number");
  EXPECT_EQ(value_of("1 + 2)"), "error: ')' is not arithmetic");
}

TEST(Expression, BoundsHostileText) {
  EXPECT_FALSE(evaluate(std::string(2000, '(') + "1").value);
  EXPECT_FALSE(evaluate(std::string(100000, '1')).value);
  std::string sum = "1";
  for (int i = 0; i < 300; ++i) sum += "+1";
  EXPECT_EQ(evaluate(sum).error, "too many numbers");
  EXPECT_TRUE(evaluate(std::string(4000, '-') + "1").value);  // signs nest in a loop, not in calls
}

}  // namespace
}  // namespace kinglet::fot
