#include "kinglet/methods/fot/game24_step.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "kinglet/base/ascii.h"
#include "kinglet/methods/fot/expression.h"
#include "kinglet/methods/fot/game24.h"

namespace kinglet::fot {
namespace {

constexpr std::size_t kLongestLine = 400;
constexpr std::size_t kMostLeft = 16;

class LineReader {
 public:
  explicit LineReader(std::string_view text) : text_(text) {}

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  // "1. ", "12) ", "- ", "* ", a bullet: what lists put before their lines.
  void skip_list_marker() {
    skip_blanks();
    std::size_t after = at_;
    while (after < text_.size() && ascii::is_digit(text_[after]) && after < at_ + 3) ++after;
    const bool numbered = after > at_ && after < text_.size() && (text_[after] == '.' || text_[after] == ')');
    if (numbered || (after == at_ && starts_marker())) after += text_.substr(after).starts_with("\xE2") ? 3 : 1;
    if (after > at_ && after < text_.size() && text_[after] == ' ' &&
        (numbered || !ascii::is_digit(text_[after - 1]))) {
      at_ = after;
    }
  }
  bool take(char wanted) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  std::optional<Operation> operation() {
    skip_blanks();
    constexpr std::string_view kSigns = "+-*/";
    if (at_ >= text_.size() || kSigns.find(text_[at_]) == std::string_view::npos) return std::nullopt;
    return static_cast<Operation>(text_[at_++]);
  }
  // "7", "-3", "(-3)", "2.5", "5/2" without blanks where `fraction`.
  std::optional<Rational> number(bool fraction) {
    const bool bracket = take('(');
    skip_blanks();
    const auto value = signed_number(fraction);
    if (bracket && !take(')')) return std::nullopt;
    return value;
  }
  bool take_word(std::string_view word) {
    skip_blanks();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

 private:
  bool starts_marker() const {
    const std::string_view rest = text_.substr(at_);
    return rest.starts_with("-") || rest.starts_with("*") || rest.starts_with("\xE2\x80\xA2");
  }
  std::optional<Rational> signed_number(bool fraction) {
    const std::size_t begin = at_;
    if (at_ < text_.size() && text_[at_] == '-') ++at_;
    while (at_ < text_.size() && (ascii::is_digit(text_[at_]) ||
                                  (text_[at_] == '.' && at_ + 1 < text_.size() && ascii::is_digit(text_[at_ + 1])))) {
      ++at_;
    }
    const auto value = parse_decimal(text_.substr(begin, at_ - begin));
    if (!value || !fraction || at_ + 1 >= text_.size() || text_[at_] != '/' || !ascii::is_digit(text_[at_ + 1]))
      return value;
    const std::size_t slash = at_++;
    while (at_ < text_.size() && ascii::is_digit(text_[at_])) ++at_;
    const auto divisor = parse_decimal(text_.substr(slash + 1, at_ - slash - 1));
    return divisor ? apply(Operation::kDivide, *value, *divisor) : std::nullopt;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

bool remove_one(std::vector<Rational>& numbers, const Rational& number) {
  const auto found = std::find(numbers.begin(), numbers.end(), number);
  if (found == numbers.end()) return false;
  numbers.erase(found);
  return true;
}

bool same_multiset(std::vector<Rational> a, std::vector<Rational> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

CheckedStep dropped(StepFault fault) { return {std::nullopt, fault, false}; }

// A negative operand stands in brackets, so that "11 - (-3)" can be read again.
std::string operand_text(const Rational& number) {
  return number < Rational(0) ? fmt::format("({})", number.to_text()) : number.to_text();
}

std::optional<Game24Step> parse_plain(std::string_view plain, bool fraction_operands) {
  LineReader reader(plain);
  reader.skip_list_marker();
  Game24Step step;
  const auto left = reader.number(fraction_operands);
  const auto operation = reader.operation();
  const auto right = left && operation ? reader.number(fraction_operands) : std::nullopt;
  if (!right || !reader.take('=')) return std::nullopt;
  const auto result = reader.number(true);
  if (!result || !reader.take('(') || !reader.take_word("left") || !reader.take(':')) return std::nullopt;
  step = {*left, *operation, *right, *result, {}};
  while (!reader.take(')')) {
    const auto number = reader.number(true);
    if (!number || step.left.size() == kMostLeft) return std::nullopt;
    step.left.push_back(*number);
    reader.take(',');
  }
  return step;
}

}  // namespace

std::optional<Game24Step> parse_step(std::string_view line) {
  if (line.size() > kLongestLine) return std::nullopt;
  const std::string plain = plain_operators(line);
  // "8/2=4" divides; "5/2 * 4 = 10" has a fraction as its operand.
  auto step = parse_plain(plain, false);
  return step ? step : parse_plain(plain, true);
}

std::string list_text(const std::vector<Rational>& numbers) {
  std::string text;
  for (const Rational& number : numbers) text += (text.empty() ? "" : " ") + number.to_text();
  return text;
}

std::string to_text(const Game24Step& step) {
  return fmt::format("{} {} {} = {} (left: {})", operand_text(step.left_operand), static_cast<char>(step.operation),
                     operand_text(step.right_operand), step.result.to_text(), list_text(step.left));
}

std::string_view name_of(StepFault fault) {
  constexpr std::array<std::string_view, 6> kNames = {"none",       "unreadable", "operands",
                                                      "arithmetic", "fraction",   "too few left"};
  return kNames[static_cast<std::size_t>(fault)];
}

CheckedStep check_step(std::string_view line, const std::vector<Rational>& state, StepRules rules,
                       bool allow_fractions) {
  auto step = parse_step(line);
  if (!step) return dropped(StepFault::kUnreadable);
  if (step->left.size() + 1 < state.size()) return dropped(StepFault::kTooFewLeft);
  if (rules == StepRules::kNone) return {std::move(step), StepFault::kNone, false};
  std::vector<Rational> rest = state;
  if (!remove_one(rest, step->left_operand) || !remove_one(rest, step->right_operand)) {
    return dropped(StepFault::kOperands);
  }
  if (rules == StepRules::kExact && apply(step->operation, step->left_operand, step->right_operand) != step->result) {
    return dropped(StepFault::kArithmetic);
  }
  rest.insert(rest.begin(), step->result);
  const bool whole = std::all_of(rest.begin(), rest.end(), [](const Rational& number) { return number.is_whole(); });
  if (!whole && !allow_fractions) return dropped(StepFault::kFraction);
  const bool wrong = !same_multiset(rest, step->left);
  if (wrong) step->left = std::move(rest);
  return {std::move(step), StepFault::kNone, wrong};
}

std::vector<Game24Step> all_steps(const std::vector<Rational>& state, bool allow_fractions) {
  std::vector<Game24Step> steps;
  for (std::size_t i = 0; i < state.size(); ++i) {
    for (std::size_t j = 0; j < state.size(); ++j) {
      if (i == j) continue;
      for (const Operation operation :
           {Operation::kAdd, Operation::kSubtract, Operation::kMultiply, Operation::kDivide}) {
        const auto result = apply(operation, state[i], state[j]);
        if (!result || (!allow_fractions && !result->is_whole())) continue;
        Game24Step step{state[i], operation, state[j], *result, {*result}};
        for (std::size_t k = 0; k < state.size(); ++k) {
          if (k != i && k != j) step.left.push_back(state[k]);
        }
        steps.push_back(std::move(step));
      }
    }
  }
  return steps;
}

std::optional<Game24Step> closing_step(const Rational& a, const Rational& b) {
  for (const Game24Step& step : all_steps({a, b}, true)) {
    if (step.result == Rational(kTarget)) return step;
  }
  return std::nullopt;
}

std::string expression_of(const std::vector<Rational>& start, const std::vector<Game24Step>& steps) {
  std::vector<std::pair<Rational, std::string>> terms;
  for (const Rational& number : start) terms.emplace_back(number, number.to_text());
  const auto take = [&terms](const Rational& number) {
    const auto found = std::find_if(terms.begin(), terms.end(), [&](const auto& term) { return term.first == number; });
    if (found == terms.end()) return std::string();
    std::string text = std::move(found->second);
    terms.erase(found);
    return text;
  };
  std::string expression;
  for (const Game24Step& step : steps) {
    const std::string left = take(step.left_operand), right = take(step.right_operand);
    if (left.empty() || right.empty()) return {};
    expression = fmt::format("({} {} {})", left, static_cast<char>(step.operation), right);
    terms.emplace_back(step.result, expression);
  }
  return expression.size() > 2 ? expression.substr(1, expression.size() - 2) : expression;
}

}  // namespace kinglet::fot
