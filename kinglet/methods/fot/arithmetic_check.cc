#include "kinglet/methods/fot/arithmetic_check.h"

#include <optional>

#include "kinglet/base/ascii.h"
#include "kinglet/methods/fot/expression.h"

namespace kinglet::fot {
namespace {

constexpr std::size_t kMostEqualities = 200;
constexpr std::size_t kLongestSide = 120;

bool belongs_left(char c) {
  return ascii::is_digit(c) || std::string_view("+-*/().,$ ").find(c) != std::string_view::npos;
}

// The arithmetic that ends at `end`; the longest suffix that reads as such, without what a sentence left before it.
std::string left_side(std::string_view text, std::size_t end) {
  std::size_t begin = end;
  while (begin > 0 && end - begin < kLongestSide && belongs_left(text[begin - 1])) --begin;
  std::string side;
  for (const char c : text.substr(begin, end - begin)) {
    if (c != '$') side += c;
  }
  return side;
}

std::optional<Evaluation> evaluated(std::string side) {
  // "He has 5. 3 + 4 = 7": words before it end with a full stop or a comma.
  for (std::size_t stop;
       (stop = side.find(". ")) != std::string::npos || (stop = side.find(", ")) != std::string::npos;) {
    side.erase(0, stop + 2);
  }
  const std::size_t first = side.find_first_of("0123456789(-.");
  if (first == std::string::npos) return std::nullopt;
  side.erase(0, first);
  const Evaluation evaluation = evaluate(side);
  return evaluation.value && evaluation.numbers.size() > 1 ? std::optional(evaluation) : std::nullopt;
}

struct Result {
  std::string text;
  Rational value;
};

std::optional<Result> result_at(std::string_view text, std::size_t at) {
  while (at < text.size() && (text[at] == ' ' || text[at] == '$')) ++at;
  const std::size_t begin = at;
  if (at < text.size() && text[at] == '-') ++at;
  const auto digit_at = [&](std::size_t place) { return place < text.size() && ascii::is_digit(text[place]); };
  while (digit_at(at) || (at < text.size() && (text[at] == '.' || text[at] == ',') && digit_at(at + 1))) ++at;
  // "= 3 * 4" goes on: what is said to be equal is an expression, not a result.
  std::size_t next = at;
  while (next < text.size() && text[next] == ' ') ++next;
  if (next < text.size() && std::string_view("*/+").find(text[next]) != std::string_view::npos) return std::nullopt;
  if (next + 1 < text.size() && text[next] == '-' && (text[next + 1] == ' ' || ascii::is_digit(text[next + 1]))) {
    return std::nullopt;
  }
  if (at < text.size() && text[at] == '%') return std::nullopt;
  const std::string_view number = text.substr(begin, at - begin);
  const auto value = parse_decimal(number);
  return value ? std::optional(Result{std::string(number), *value}) : std::nullopt;
}

// Decimals may be rounded or cut: within one unit of the last one that is written.
bool agrees(const Result& claimed, const Rational& value) {
  if (claimed.value == value) return true;
  const std::size_t point = claimed.text.find('.');
  if (point == std::string::npos) return false;
  std::int64_t unit = 1;
  for (std::size_t i = point + 1; i < claimed.text.size() && unit < 1'000'000'000; ++i) unit *= 10;
  const auto difference = apply(Operation::kSubtract, claimed.value, value);
  const auto last = Rational::of(1, unit);
  if (!difference || !last) return true;
  const Rational distance =
      *difference < Rational(0) ? *apply(Operation::kSubtract, Rational(0), *difference) : *difference;
  return distance <= *last;
}

}  // namespace

std::vector<WrongEquality> wrong_equalities(std::string_view text) {
  const std::string plain = plain_operators(text);
  std::vector<WrongEquality> wrong;
  std::size_t seen = 0;
  for (std::size_t at = plain.find('='); at != std::string::npos && seen < kMostEqualities;
       at = plain.find('=', at + 1)) {
    ++seen;
    const std::string side = left_side(plain, at);
    const auto left = evaluated(side);
    const auto claimed = result_at(plain, at + 1);
    if (!left || !claimed || agrees(*claimed, *left->value)) continue;
    std::string shown = side.substr(side.find_first_not_of(" .,"));
    while (!shown.empty() && shown.back() == ' ') shown.pop_back();
    wrong.push_back({shown + " = " + claimed->text, left->value->to_text()});
  }
  return wrong;
}

}  // namespace kinglet::fot
