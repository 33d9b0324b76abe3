#include "kinglet/methods/fot/game24.h"

#include <algorithm>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/methods/fot/expression.h"
#include "kinglet/methods/fot/game24_step.h"

namespace kinglet::fot {
namespace {

constexpr int kLargestNumber = 9999;
constexpr std::array kOperations = {Operation::kAdd, Operation::kSubtract, Operation::kMultiply, Operation::kDivide};

// Every pair with every operation, depth first; `steps` becomes the way to 24.
bool search(const std::vector<Rational>& numbers, Intermediates intermediates, std::vector<Game24Step>& steps) {
  if (numbers.size() == 1) return numbers[0] == Rational(kTarget);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    for (std::size_t j = 0; j < numbers.size(); ++j) {
      if (i == j) continue;
      std::vector<Rational> rest;
      for (std::size_t k = 0; k < numbers.size(); ++k) {
        if (k != i && k != j) rest.push_back(numbers[k]);
      }
      rest.emplace_back();
      for (const Operation operation : kOperations) {
        const bool commutes = operation == Operation::kAdd || operation == Operation::kMultiply;
        if (commutes && i > j) continue;
        const auto value = apply(operation, numbers[i], numbers[j]);
        if (!value || (intermediates == Intermediates::kWhole && !value->is_whole())) continue;
        rest.back() = *value;
        steps.push_back({numbers[i], operation, numbers[j], *value, {}});
        if (search(rest, intermediates, steps)) return true;
        steps.pop_back();
      }
    }
  }
  return false;
}

// The part of "Answer: expression = 24" that is the expression, and what it is said to be.
struct Claim {
  std::string expression;
  std::optional<Rational> result;
  bool ends_in_nonsense = false;
};

Claim claim_of(std::string_view text) {
  constexpr std::string_view kMarker = "nswer:";
  if (const std::size_t marker = text.rfind(kMarker); marker != std::string_view::npos) {
    text.remove_prefix(marker + kMarker.size());
  }
  Claim claim;
  const std::size_t equals = text.find('=');
  claim.expression = std::string(text.substr(0, equals));
  if (equals == std::string_view::npos) return claim;
  claim.result = evaluate(text.substr(equals + 1)).value;
  claim.ends_in_nonsense = !claim.result;
  return claim;
}

}  // namespace

Puzzle parse_puzzle(std::string_view text, std::string_view where) {
  Puzzle puzzle{};
  std::size_t count = 0;
  const auto refuse = [&] {
    return bad_input(where, fmt::format("'{}' is not four whole numbers", text.substr(0, 40)),
                     "give them as \"4 9 10 13\"");
  };
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == ' ' || text[at] == ',' || text[at] == '\t' || text[at] == '\r') {
      ++at;
      continue;
    }
    int number = 0;
    const std::size_t begin = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9' && number <= kLargestNumber) {
      number = number * 10 + (text[at++] - '0');
    }
    if (at == begin || number > kLargestNumber || count == puzzle.size()) throw refuse();
    puzzle[count++] = number;
  }
  if (count != puzzle.size()) throw refuse();
  return puzzle;
}

std::string to_text(const Puzzle& puzzle) {
  return fmt::format("{} {} {} {}", puzzle[0], puzzle[1], puzzle[2], puzzle[3]);
}

std::vector<Rational> numbers_of(const Puzzle& puzzle) {
  std::vector<Rational> numbers;
  for (const int number : puzzle) numbers.emplace_back(number);
  return numbers;
}

std::vector<Puzzle> distinct_orders(const Puzzle& puzzle) {
  std::vector<Puzzle> orders = {puzzle};
  Puzzle order = puzzle;
  std::sort(order.begin(), order.end());
  do {
    if (order != puzzle) orders.push_back(order);
  } while (std::next_permutation(order.begin(), order.end()));
  return orders;
}

std::optional<std::string> solve24(const std::vector<Rational>& numbers, Intermediates intermediates) {
  if (numbers.empty() || numbers.size() > 4) return std::nullopt;
  std::vector<Game24Step> steps;
  if (!search(numbers, intermediates, steps)) return std::nullopt;
  return steps.empty() ? numbers[0].to_text() : expression_of(numbers, steps);
}

std::vector<Puzzle> solvable_puzzles(Intermediates intermediates) {
  constexpr int kHighest = 13;
  std::vector<Puzzle> puzzles;
  for (int a = 1; a <= kHighest; ++a) {
    for (int b = a; b <= kHighest; ++b) {
      for (int c = b; c <= kHighest; ++c) {
        for (int d = c; d <= kHighest; ++d) {
          const Puzzle puzzle = {a, b, c, d};
          if (solve24(numbers_of(puzzle), intermediates)) puzzles.push_back(puzzle);
        }
      }
    }
  }
  return puzzles;
}

Verdict verify24(const Puzzle& puzzle, std::string_view expression) {
  const Claim claim = claim_of(expression);
  Evaluation evaluation = evaluate(claim.expression);
  if (!evaluation.value) return {false, evaluation.error};
  std::vector<Rational> wanted = numbers_of(puzzle);
  std::sort(wanted.begin(), wanted.end());
  std::sort(evaluation.numbers.begin(), evaluation.numbers.end());
  if (evaluation.numbers != wanted) {
    return {false, fmt::format("uses the numbers {} and not {}", list_text(evaluation.numbers), list_text(wanted))};
  }
  if (*evaluation.value != Rational(kTarget)) {
    return {false, fmt::format("is {} and not {}", evaluation.value->to_text(), kTarget)};
  }
  if (claim.ends_in_nonsense) return {false, "no number follows the equals sign"};
  if (claim.result && *claim.result != *evaluation.value) {
    return {false, fmt::format("is said to be {}", claim.result->to_text())};
  }
  return {true, {}};
}

}  // namespace kinglet::fot
