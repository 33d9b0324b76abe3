// Tokens that are found in a text as they stand, before (or after) it is normalized: special tokens, runs of blanks.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kinglet/text/vocabulary.h"

namespace kinglet {

struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false;      // left out of decoded text
  bool single_word = false;  // only where no letter, digit or mark touches it
  bool strip_left = false;   // takes the blanks before it ...
  bool strip_right = false;  // ... and after it
  bool normalized = false;   // is looked for in the normalized text
};

// A stretch of a text: a token, or text without one.
struct TextSection {
  std::string_view text;
  std::optional<TokenId> id;
};

// Finds tokens from left to right; of several that begin at one place, the longest wins.
class AddedTokenMatcher {
 public:
  // Of two with the same content, the first counts. Empty contents are passed over.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);
  // Fills `sections` with what `text` consists of; none is empty.
  void split(std::string_view text, std::vector<TextSection>& sections) const;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Found {
    std::size_t begin;
    std::size_t end;
    const AddedToken* token;
  };
  std::optional<Found> find(std::string_view text, std::size_t from) const;
  void insert(std::uint32_t token);

  std::vector<AddedToken> tokens_;
  std::array<std::uint32_t, 256> first_;                   // node of a first byte
  std::unordered_map<std::uint64_t, std::uint32_t> next_;  // node << 8 | byte
  std::vector<std::uint32_t> ends_;                        // by node: the token that ends there
};

}  // namespace kinglet
