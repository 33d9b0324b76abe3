// Arithmetic that people and models write: "(6 - 4) * 12", "3 × 8 ÷ (8/3)", evaluated exactly and never executed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/methods/fot/rational.h"

namespace kinglet::fot {

// The text with +, -, *, / and ( ) for the many characters and LaTeX commands that mean them (− – × · ÷ \times \cdot
// \div \left( [ { and so on). "x" becomes "*" only between numbers or brackets.
std::string plain_operators(std::string_view text);

struct Evaluation {
  std::optional<Rational> value;
  std::vector<Rational> numbers;  // as they stand in the text, from left to right
  std::string error;              // why there is no value: one line
};

// Numbers, + - * /, signs and brackets, with the usual precedence. At most 4096 bytes, 256 numbers and 64 levels.
Evaluation evaluate(std::string_view text);

}  // namespace kinglet::fot
