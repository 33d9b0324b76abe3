// One step towards 24, as a model writes it: "4 + 5 = 9 (left: 9 6 10)". Read, checked and corrected by rule.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/methods/fot/rational.h"

namespace kinglet::fot {

struct Game24Step {
  Rational left_operand;
  Operation operation = Operation::kAdd;
  Rational right_operand;
  Rational result;
  std::vector<Rational> left;  // the numbers after the step, as the line lists them
};

// Tolerates list markers, brackets around negative numbers, commas in the list and the many signs for the operations.
std::optional<Game24Step> parse_step(std::string_view line);
std::string to_text(const Game24Step& step);

// "6 9 10": the numbers as prompts show them.
std::string list_text(const std::vector<Rational>& numbers);

enum class StepRules {
  kNone,      // the line is believed
  kLeftOnly,  // operands and the list of what is left are checked, the arithmetic is believed
  kExact,     // everything is checked
};

enum class StepFault { kNone, kUnreadable, kOperands, kArithmetic, kFraction, kTooFewLeft };
std::string_view name_of(StepFault fault);

struct CheckedStep {
  std::optional<Game24Step> step;  // nothing when the line was dropped
  StepFault fault = StepFault::kNone;
  bool rewritten = false;  // the list of what is left was wrong and has been replaced
};

// Applies the rules to a line that was proposed for `state` (3 or 4 numbers). With fractions allowed, results that are
// not whole pass.
CheckedStep check_step(std::string_view line, const std::vector<Rational>& state, StepRules rules,
                       bool allow_fractions = false);

// Every exact step from `state`, in a fixed order; without fractions unless allowed.
std::vector<Game24Step> all_steps(const std::vector<Rational>& state, bool allow_fractions);

// The step that makes 24 of two numbers, if one of a+b, a-b, b-a, a*b, a/b, b/a does.
std::optional<Game24Step> closing_step(const Rational& a, const Rational& b);

// The expression that the steps spell when each replaces its operands; "" when a step uses a number that is not there.
std::string expression_of(const std::vector<Rational>& start, const std::vector<Game24Step>& steps);

}  // namespace kinglet::fot
