// The unigram language model of SentencePiece: of all ways to cut a text into entries of the vocabulary, the one whose
// log-probabilities have the largest sum (Kudo 2018), found with Viterbi's algorithm.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kinglet/text/token_model.h"

namespace kinglet {

class Unigram : public TokenModel {
 public:
  // `scores`: entries in order of ids. `unknown`: the id for characters that no entry covers; several in a row become
  // one. `byte_fallback`: an unknown text becomes its bytes <0x00> ... instead, where all of them are entries.
  Unigram(std::vector<std::pair<std::string, double>> scores, std::optional<TokenId> unknown, bool byte_fallback,
          std::string_view where);

  // Raises Error (bad input) for an unknown character when there is no unknown token.
  void encode(std::string_view piece, std::vector<TokenId>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Step {
    double score = 0.0;
    std::size_t begin = 0;
    TokenId id = -1;  // -1: unknown
    bool reached = false;
  };
  void insert(std::string_view text, TokenId id);
  void append(std::string_view text, std::optional<TokenId> id, std::vector<TokenId>& ids) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  std::optional<TokenId> unknown_;
  bool byte_fallback_;
  double unknown_score_ = 0.0;
  std::unordered_map<std::uint64_t, std::uint32_t> next_;  // trie: node << 8 | byte
  std::vector<TokenId> ends_;                              // by node: the entry that ends there, or -1
  std::string where_;
};

}  // namespace kinglet
