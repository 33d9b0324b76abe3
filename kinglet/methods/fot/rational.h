// Exact fractions of 64-bit numbers, for answers that must be right and not almost right. Arithmetic that would not fit
// gives nothing, so that hostile numbers cost no time and wrap around nowhere.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kinglet::fot {

class Rational {
 public:
  constexpr Rational() = default;
  constexpr explicit Rational(std::int64_t whole) : numerator_(whole) {}
  // Lowest terms with a positive denominator; nothing for a zero denominator or what does not fit.
  static std::optional<Rational> of(std::int64_t numerator, std::int64_t denominator);

  constexpr std::int64_t numerator() const { return numerator_; }
  constexpr std::int64_t denominator() const { return denominator_; }
  constexpr bool is_whole() const { return denominator_ == 1; }
  std::string to_text() const;  // "-3", "5/2"

  bool operator==(const Rational&) const = default;
  std::strong_ordering operator<=>(const Rational& other) const;

 private:
  constexpr Rational(std::int64_t numerator, std::int64_t denominator)
      : numerator_(numerator), denominator_(denominator) {}

  std::int64_t numerator_ = 0;
  std::int64_t denominator_ = 1;
};

enum class Operation : char { kAdd = '+', kSubtract = '-', kMultiply = '*', kDivide = '/' };

// Nothing for a division by zero or a result that does not fit into 64 bits.
std::optional<Rational> apply(Operation operation, const Rational& left, const Rational& right);

// "12", "-3", "+7", "2.50", ".5", "1,234,567.8" (commas between groups of three only). No blanks, no exponent, no
// fraction bar. Nothing for anything else or a number that does not fit.
std::optional<Rational> parse_decimal(std::string_view text);

}  // namespace kinglet::fot
