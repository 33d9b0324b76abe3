// What a SentencePiece model does to a text before it looks for pieces.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kinglet/text/sentencepiece_model.h"

namespace kinglet {

// Replaces what the model's character map names (a double-array trie of byte strings, each with its replacement),
// collapses blanks where the model says so, puts a blank in front, and writes blanks as U+2581.
class SentencePieceNormalizer {
 public:
  // Copies the character map. Raises Error (bad input) for one that is damaged.
  SentencePieceNormalizer(const SentencePieceModel& model, std::string_view where);
  std::string operator()(std::string_view text) const;  // text: valid UTF-8

 private:
  // The replacement of the longest entry at the front of `text`, or its first character, and how many bytes it stands
  // for.
  std::pair<std::string_view, std::size_t> front(std::string_view text) const;

  std::vector<std::uint32_t> units_;  // of the trie
  std::string replacements_;          // each ends with a zero byte
  bool prefix_, collapse_, suffix_;
};

}  // namespace kinglet
