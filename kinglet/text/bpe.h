// Byte-pair encoding: a word begins as single characters; of all adjacent pairs that a merge names, the one of the
// lowest rank, leftmost first, becomes one symbol, until none is left (Sennrich, Haddow, Birch 2016, section 3.2).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kinglet/text/token_model.h"
#include "kinglet/text/word_cache.h"

namespace kinglet {

// Pairs of ids and what they become.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank = 0;
    TokenId result = 0;
  };

  explicit MergeTable(std::size_t merges);
  void set(TokenId left, TokenId right, Merge merge);  // replaces an earlier one of the same pair
  const Merge* find(TokenId left, TokenId right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t at = place_of(key);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.key == key) return &slot.merge;
      if (slot.key == kEmpty) return nullptr;
    }
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = kEmpty;
    Merge merge;
  };
  static std::uint64_t key_of(TokenId left, TokenId right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t place_of(std::uint64_t key) const { return (key * 0x9E3779B97F4A7C15U >> 20) & mask_; }

  std::size_t mask_ = 0;
  std::vector<Slot> slots_;
};

struct BpeOptions {
  std::optional<std::string> unknown;  // token for characters that are not in the vocabulary; without, they vanish
  bool fuse_unknown = false;           // one token for several of them in a row
  bool byte_fallback = false;          // their bytes as <0x00> ... <0xFF> instead, where the vocabulary has those
  bool ignore_merges = false;          // a word that is an entry is that entry
  std::string continuing_prefix;       // before the text of every symbol of a word but the first
  std::string end_suffix;              // after the last one's
  // Words are bytes and the vocabulary spells them in byte_level.h's characters. Needs an empty prefix and suffix.
  bool raw_bytes = false;
};

class Bpe : public TokenModel {
 public:
  using Merges = std::vector<std::pair<std::string, std::string>>;  // in order of rank

  // Raises Error (bad input) for a merge whose parts or result the vocabulary lacks, or when it lacks `unknown`.
  Bpe(Vocabulary vocabulary, const Merges& merges, BpeOptions options, std::string_view where);
  // Merges that are already in terms of ids; several may have one rank.
  Bpe(Vocabulary vocabulary, MergeTable merges, BpeOptions options, std::string_view where);

  void encode(std::string_view piece, std::vector<TokenId>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  void prepare(std::string_view where);
  void prepare_raw_bytes();
  void prepare_splits();
  std::size_t first_part(std::string_view piece) const;
  void encode_part(std::string_view part, std::vector<TokenId>& ids) const;
  void encode_uncached(std::string_view part, std::vector<TokenId>& ids) const;
  void start_raw(std::string_view part, std::vector<TokenId>& symbols) const;
  void start_characters(std::string_view part, std::vector<TokenId>& symbols) const;
  bool fall_back(std::string_view text, std::vector<TokenId>& symbols) const;
  void merge_short(std::vector<TokenId>& symbols) const;
  void merge_long(std::vector<TokenId>& symbols) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  BpeOptions options_;
  std::optional<TokenId> unknown_;
  std::array<TokenId, 256> byte_symbols_{};  // raw_bytes: the entry of each byte, or -1
  std::array<TokenId, 256> fallback_{};      // byte_fallback: the entries <0x00> ..., or -1
  std::optional<Vocabulary> raw_words_;      // raw_bytes and ignore_merges: entries as bytes
  bool splits_ = false;                      // parts may be cut before a U+2581 ...
  std::vector<char32_t> before_space_;       // ... that follows none of these
  mutable WordCache cache_;
};

}  // namespace kinglet
