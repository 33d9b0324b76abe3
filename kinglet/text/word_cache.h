// A cache of fixed size from short words to their ids, for many threads.
//
// Each word has one place, which the last word that hashes to it takes. A place that another thread is using counts as
// a miss, so that nobody waits.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "kinglet/text/vocabulary.h"

namespace kinglet {

class WordCache {
 public:
  static constexpr std::size_t kLongestWord = 44;  // bytes
  static constexpr std::size_t kMostIds = 12;

  WordCache();
  static bool takes(std::string_view word) { return word.size() <= kLongestWord; }

  // Appends the ids of `word` and returns true when it is there.
  bool find(std::string_view word, std::vector<TokenId>& ids);
  // Remembers that the ids of `word` are those in ids[from..]; longer lists are left out.
  void store(std::string_view word, const std::vector<TokenId>& ids, std::size_t from);

 private:
  static constexpr std::size_t kPlaces = std::size_t{1} << 14;

  struct Place {
    std::atomic_flag busy;
    std::uint8_t word_bytes = 0;  // 0: nothing here
    std::uint8_t num_ids = 0;
    std::array<char, kLongestWord> word;
    std::array<TokenId, kMostIds> ids;
  };
  Place& place_of(std::string_view word);

  std::unique_ptr<Place[]> places_;
};

}  // namespace kinglet
