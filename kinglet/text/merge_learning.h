// The loop of byte-pair encoding's training: words with their counts in, merges out.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace kinglet {

struct CountedWord {
  std::vector<std::uint32_t> symbols;  // ids
  std::int64_t count = 0;
};

struct LearnedMerges {
  std::vector<std::string> tokens;                              // by id: those given, then the new ones
  std::vector<std::pair<std::uint32_t, std::uint32_t>> merges;  // in order of rank
};

// Merges pairs until there are `vocabulary_size` tokens or no pair is as frequent as `minimum_frequency`. `tokens`: the
// texts of the ids that the words use, all different.
LearnedMerges learn_merges(std::vector<CountedWord> words, std::vector<std::string> tokens, std::size_t vocabulary_size,
                           std::int64_t minimum_frequency);

}  // namespace kinglet
