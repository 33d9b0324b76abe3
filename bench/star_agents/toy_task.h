// A task that small transformers learn in seconds: copy, reverse, sort, shift or sum up a row of letters; and simulated
// generators that answer it well or badly.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kinglet/base/rng.h"

namespace kinglet::star_agents::toy {

using Row = std::vector<std::int64_t>;

constexpr std::int64_t kLetters = 16, kTasks = 5;
constexpr std::int64_t kBegin = kLetters + kTasks, kAnswer = kBegin + 1, kEnd = kBegin + 2, kVocabulary = 32;
constexpr std::size_t kLongest = 9, kShortest = 4, kWindow = 2 * kLongest + 4;

struct Item {
  std::int64_t task = 0;
  Row input;
};

inline Item random_item(Rng& rng) {
  Item item{static_cast<std::int64_t>(rng.below(kTasks)), {}};
  item.input.resize(kShortest + rng.below(kLongest - kShortest + 1));
  for (std::int64_t& letter : item.input) letter = static_cast<std::int64_t>(rng.below(kLetters));
  return item;
}

inline Row solve(std::int64_t task, Row row) {
  if (task == 1) std::reverse(row.begin(), row.end());
  if (task == 2) std::sort(row.begin(), row.end());
  if (task == 3) {
    for (std::int64_t& letter : row) letter = (letter + 1) % kLetters;
  }
  if (task == 4) {
    for (std::size_t i = 1; i < row.size(); ++i) row[i] = (row[i] + row[i - 1]) % kLetters;
  }
  return row;
}

inline Row random_letters(std::size_t count, Rng& rng) {
  Row row(count);
  for (std::int64_t& letter : row) letter = static_cast<std::int64_t>(rng.below(kLetters));
  return row;
}

inline Row corrupt(Row row, double rate, Rng& rng) {
  for (std::int64_t& letter : row) {
    if (rng.uniform() < rate) letter = static_cast<std::int64_t>(rng.below(kLetters));
  }
  return row;
}

constexpr std::array<std::string_view, 9> kGenerators{
    "1 % wrong",         "5 % wrong",  "15 % wrong",  "30 % wrong",
    "garbage",           "wrong task", "cut in half", "specialist of reverse",
    "specialist of sums"};
constexpr std::size_t kBase = kGenerators.size();  // 10 % wrong

inline Row answer_of(std::size_t generator, const Item& item, Rng& rng) {
  constexpr std::array kRates{0.01, 0.05, 0.15, 0.30};
  constexpr double kOutsideSpeciality = 0.85;
  const Row right = solve(item.task, item.input);
  if (generator < kRates.size()) return corrupt(right, kRates[generator], rng);
  switch (generator) {
    case 4:
      return random_letters(right.size(), rng);
    case 5:
      return solve((item.task + 1 + static_cast<std::int64_t>(rng.below(kTasks - 1))) % kTasks, item.input);
    case 6:
      return {right.begin(), right.begin() + static_cast<std::ptrdiff_t>(right.size() / 2)};
    case 7:
      return corrupt(right, item.task == 1 ? 0.02 : kOutsideSpeciality, rng);
    case 8:
      return corrupt(right, item.task == 4 ? 0.02 : kOutsideSpeciality, rng);
    default:
      return corrupt(right, 0.10, rng);
  }
}

// Share of the letters that stand where they should.
inline double correct_letters(const Item& item, const Row& answer) {
  const Row right = solve(item.task, item.input);
  std::size_t same = 0;
  for (std::size_t i = 0; i < std::min(right.size(), answer.size()); ++i) same += right[i] == answer[i];
  return static_cast<double>(same) / static_cast<double>(std::max(right.size(), answer.size()));
}

}  // namespace kinglet::star_agents::toy
