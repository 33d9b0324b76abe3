// The Game of 24: make 24 of four numbers with + - * / and brackets, using each number once.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/methods/fot/rational.h"

namespace kinglet::fot {

inline constexpr int kTarget = 24;

using Puzzle = std::array<int, 4>;

// "4 9 10 13", also with commas. Raises Error (bad input) for anything but four whole numbers from 0 to 9999.
Puzzle parse_puzzle(std::string_view text, std::string_view where);
std::string to_text(const Puzzle& puzzle);
std::vector<Rational> numbers_of(const Puzzle& puzzle);

// Different orders of the numbers: 24 of "4 9 10 13", 4 of "5 5 5 9"; the given order first, then by rank.
std::vector<Puzzle> distinct_orders(const Puzzle& puzzle);

enum class Intermediates { kAny, kWhole };  // whether fractions may appear on the way

// An expression that makes 24 of up to 4 numbers, or nothing when there is none.
std::optional<std::string> solve24(const std::vector<Rational>& numbers, Intermediates intermediates);

// The puzzles with numbers from 1 to 13 that have a solution: 1362 of 1820, 1346 of them with whole intermediates.
std::vector<Puzzle> solvable_puzzles(Intermediates intermediates);

struct Verdict {
  bool correct = false;
  std::string reason;  // what is wrong, one line; empty when correct
};

// Whether the expression uses exactly the puzzle's numbers and is 24. What stands before "Answer:" and behind "=" does
// not count, but "(6 - 4) * 12 = 25" is refused.
Verdict verify24(const Puzzle& puzzle, std::string_view expression);

}  // namespace kinglet::fot
