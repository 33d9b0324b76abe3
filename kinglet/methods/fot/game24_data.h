// Training data for a small model of the Game of 24: states with steps from them, states with what can become of them,
// and whole solutions. Training and test puzzles are disjoint.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "kinglet/methods/fot/game24.h"

namespace kinglet::fot {

struct Game24DataOptions {
  double test_share = 0.1;      // of the 1820 puzzles with numbers from 1 to 13
  int orders = 24;              // of each training puzzle, at most
  int steps = 6;                // lines a reply from four numbers, two thirds of them from three: drawn from the
                                // possible steps, those that can still reach 24 first
  int verdicts = 12;            // records of the worth of a state that can reach 24; of the others, a sixth of it
  double corrupted_left = 0.0;  // of the lines: one number of the list is wrong, so that there is something to correct
  std::uint64_t seed = 0;
};

struct Game24Split {
  std::vector<Puzzle> train, test;  // test: only puzzles with a solution in whole numbers
};
Game24Split split_puzzles(double test_share, std::uint64_t seed);

struct Game24DataReport {
  std::size_t train_records = 0, train_puzzles = 0, test_puzzles = 0;
};

// Writes folder/train.jsonl (records {"messages": [user, assistant]} with the compact prompts of prompts.h),
// folder/validation.jsonl (a fiftieth of them, of other states), folder/test.txt (a puzzle a line, for kinglet reason
// --data) and folder/tokenizer, which has a token for each number that is not rare. Raises Error (bad input) for
// options that make no sense.
Game24DataReport write_game24_data(const std::filesystem::path& folder, const Game24DataOptions& options);

}  // namespace kinglet::fot
