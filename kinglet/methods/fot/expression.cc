#include "kinglet/methods/fot/expression.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "kinglet/base/ascii.h"
#include "kinglet/base/error.h"

namespace kinglet::fot {
namespace {

constexpr std::size_t kLongestText = 4096;
constexpr std::size_t kMostNumbers = 256;
constexpr int kDeepest = 64;

constexpr std::array<std::pair<std::string_view, char>, 21> kSpellings = {{
    {"\xE2\x88\x92", '-'},  // minus sign
    {"\xE2\x80\x93", '-'},  // en dash
    {"\xE2\x80\x90", '-'},  // hyphen
    {"\xC3\x97", '*'},      // multiplication sign
    {"\xC2\xB7", '*'},      // middle dot
    {"\xE2\x8B\x85", '*'},  // dot operator
    {"\xE2\x88\x97", '*'},  // asterisk operator
    {"\xC3\xB7", '/'},      // division sign
    {"\xE2\x88\x95", '/'},  // division slash
    {"\xC2\xA0", ' '},      // no-break space
    {"\\times", '*'},      {"\\cdot", '*'}, {"\\div", '/'}, {"\\left(", '('}, {"\\right)", ')'}, {"\\left[", '('},
    {"\\right]", ')'},     {"[", '('},      {"]", ')'},     {"{", '('},       {"}", ')'},
}};

// Whether an "x" at this place stands between what can be multiplied.
bool is_times(std::string_view text, std::size_t at) {
  std::size_t before = at, after = at + 1;
  while (before > 0 && ascii::is_blank(text[before - 1])) --before;
  while (after < text.size() && ascii::is_blank(text[after])) ++after;
  if (before == 0 || after >= text.size()) return false;
  const char left = text[before - 1], right = text[after];
  return (ascii::is_digit(left) || left == ')') &&
         (ascii::is_digit(right) || right == '(' || right == '-' || right == '.');
}

// Recursive descent: sum = product {+- product}, product = factor {*/ factor}, factor = sign* (number | bracket).
class Parser {
 public:
  Parser(std::string_view text, Evaluation& result) : text_(text), result_(result) {}

  void run() {
    const auto value = sum(0);
    if (!value) return;
    skip_blanks();
    if (at_ < text_.size()) {
      fail(fmt::format("'{}' is not arithmetic", printable(text_.substr(at_, 12))));
      return;
    }
    result_.value = value;
  }

 private:
  std::optional<Rational> sum(int depth) {
    auto value = product(depth);
    while (value) {
      const char sign = peek();
      if (sign != '+' && sign != '-') break;
      ++at_;
      value = combine(static_cast<Operation>(sign), *value, product(depth));
    }
    return value;
  }

  std::optional<Rational> product(int depth) {
    auto value = factor(depth);
    while (value) {
      const char sign = peek();
      if (sign != '*' && sign != '/') break;
      ++at_;
      value = combine(static_cast<Operation>(sign), *value, factor(depth));
    }
    return value;
  }

  std::optional<Rational> factor(int depth) {
    bool negative = false;
    for (char sign = peek(); sign == '-' || sign == '+'; sign = peek()) {
      negative ^= sign == '-';
      ++at_;
    }
    const auto value = peek() == '(' ? bracket(depth + 1) : number();
    if (!value || !negative) return value;
    return apply(Operation::kSubtract, Rational(0), *value);
  }

  std::optional<Rational> bracket(int depth) {
    if (depth > kDeepest) return fail("too many levels of brackets");
    ++at_;
    const auto value = sum(depth);
    if (!value) return std::nullopt;
    if (peek() != ')') return fail("a bracket is not closed");
    ++at_;
    return value;
  }

  std::optional<Rational> number() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && (ascii::is_digit(text_[at_]) || text_[at_] == '.' || text_[at_] == ',')) ++at_;
    if (at_ == begin) {
      return fail(at_ == text_.size() ? "a number is missing at the end"
                                      : fmt::format("'{}' is not a number", printable(text_.substr(at_, 12))));
    }
    const auto value = parse_decimal(text_.substr(begin, at_ - begin));
    if (!value) return fail(fmt::format("'{}' is no number of use", printable(text_.substr(begin, at_ - begin))));
    if (result_.numbers.size() == kMostNumbers) return fail("too many numbers");
    result_.numbers.push_back(*value);
    return value;
  }

  std::optional<Rational> combine(Operation operation, const Rational& left, const std::optional<Rational>& right) {
    if (!right) return std::nullopt;
    if (const auto value = apply(operation, left, *right)) return value;
    return fail(operation == Operation::kDivide && *right == Rational(0) ? "divides by zero"
                                                                         : "the numbers become too large");
  }

  char peek() {
    skip_blanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  void skip_blanks() {
    while (at_ < text_.size() && ascii::is_blank(text_[at_])) ++at_;
  }
  std::nullopt_t fail(std::string why) {
    if (result_.error.empty()) result_.error = std::move(why);
    return std::nullopt;
  }

  std::string_view text_;
  Evaluation& result_;
  std::size_t at_ = 0;
};

}  // namespace

std::string plain_operators(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    std::size_t taken = 0;
    for (const auto& [spelling, meaning] : kSpellings) {
      if (text.substr(at, spelling.size()) != spelling) continue;
      plain += meaning;
      taken = spelling.size();
      break;
    }
    if (taken == 0) plain += text[at];
    at += taken == 0 ? 1 : taken;
  }
  for (std::size_t at = 0; at < plain.size(); ++at) {
    if ((plain[at] == 'x' || plain[at] == 'X') && is_times(plain, at)) plain[at] = '*';
  }
  return plain;
}

Evaluation evaluate(std::string_view text) {
  Evaluation result;
  if (text.size() > kLongestText) {
    result.error = fmt::format("longer than {} bytes", kLongestText);
    return result;
  }
  const std::string plain = plain_operators(text);
  Parser(plain, result).run();
  return result;
}

}  // namespace kinglet::fot
