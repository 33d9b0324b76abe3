#include "kinglet/methods/fot/rational.h"

#include <limits>

#include <fmt/format.h>

#include "kinglet/base/ascii.h"

namespace kinglet::fot {
namespace {

__extension__ using Wide = __int128;  // products of two 64-bit numbers fit

Wide gcd(Wide a, Wide b) {
  while (b != 0) {
    const Wide rest = a % b;
    a = b;
    b = rest;
  }
  return a < 0 ? -a : a;
}

bool fits(Wide value) {
  // The most negative number is left out, so that every number can be negated.
  return value <= std::numeric_limits<std::int64_t>::max() && value >= -std::numeric_limits<std::int64_t>::max();
}

std::optional<Rational> reduced(Wide numerator, Wide denominator) {
  if (denominator == 0) return std::nullopt;
  const Wide divisor = gcd(numerator, denominator) * (denominator < 0 ? -1 : 1);
  numerator /= divisor;
  denominator /= divisor;
  if (!fits(numerator) || !fits(denominator)) return std::nullopt;
  return Rational::of(static_cast<std::int64_t>(numerator), static_cast<std::int64_t>(denominator));
}

// Whether the commas of the whole part stand where they do in "1,234,567".
bool commas_are_right(std::string_view whole) {
  const std::size_t first = whole.find(',');
  if (first == std::string_view::npos) return true;
  if (first == 0 || first > 3) return false;
  for (std::size_t i = first; i < whole.size(); i += 4) {
    if (whole[i] != ',' || i + 4 > whole.size()) return false;
    if (whole.substr(i + 1, 3).find(',') != std::string_view::npos) return false;
  }
  return true;
}

}  // namespace

std::optional<Rational> Rational::of(std::int64_t numerator, std::int64_t denominator) {
  if (denominator == 0 || !fits(numerator) || !fits(denominator)) return std::nullopt;
  const Wide divisor = gcd(numerator, denominator) * (denominator < 0 ? -1 : 1);
  return Rational(static_cast<std::int64_t>(numerator / divisor), static_cast<std::int64_t>(denominator / divisor));
}

std::string Rational::to_text() const {
  return is_whole() ? fmt::format("{}", numerator_) : fmt::format("{}/{}", numerator_, denominator_);
}

std::strong_ordering Rational::operator<=>(const Rational& other) const {
  const Wide left = Wide{numerator_} * other.denominator_, right = Wide{other.numerator_} * denominator_;
  return left < right   ? std::strong_ordering::less
         : left > right ? std::strong_ordering::greater
                        : std::strong_ordering::equal;
}

std::optional<Rational> apply(Operation operation, const Rational& left, const Rational& right) {
  const Wide a = left.numerator(), b = left.denominator(), c = right.numerator(), d = right.denominator();
  switch (operation) {
    case Operation::kAdd:
      // Each product is below 2^126, so that their sum fits into 128 bits.
      return reduced(a * d + c * b, b * d);
    case Operation::kSubtract:
      return reduced(a * d - c * b, b * d);
    case Operation::kMultiply:
      return reduced(a * c, b * d);
    case Operation::kDivide:
      return reduced(a * d, b * c);
  }
  return std::nullopt;
}

std::optional<Rational> parse_decimal(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const std::size_t point = std::min(text.find('.'), text.size());
  if (!commas_are_right(text.substr(0, point))) return std::nullopt;
  Wide numerator = 0, denominator = 1;
  bool digits = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i == point || (text[i] == ',' && i < point)) continue;
    if (!ascii::is_digit(text[i])) return std::nullopt;
    digits = true;
    numerator = numerator * 10 + (text[i] - '0');
    if (i > point) denominator *= 10;
    if (!fits(numerator) || !fits(denominator)) return std::nullopt;
  }
  if (!digits) return std::nullopt;
  return reduced(negative ? -numerator : numerator, denominator);
}

}  // namespace kinglet::fot
