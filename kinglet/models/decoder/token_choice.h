// Which token follows: a row of logits and the settings of sampling in, a token out.
//
// Settings mean what they mean in transformers, in its order: repetition penalty, temperature, top-k, top-p, min-p.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kinglet/text/tokenizer.h"

namespace kinglet {

struct TokenChoice {
  double temperature = 0.0;         // 0: the most likely token, the lowest id among equals
  std::int64_t top_k = 0;           // > 0: only the k most likely tokens, and those as likely as the last of them
  double top_p = 1.0;               // < 1: the most likely tokens whose probabilities reach p together
  double min_p = 0.0;               // > 0: tokens of at least p times the highest probability
  double repetition_penalty = 1.0;  // divides positive logits of tokens that were there, multiplies negative ones
  std::uint64_t seed = 0;
};

// Raises Error (bad input) naming the setting that is out of range.
void check_token_choice(const TokenChoice& settings);

struct Candidate {
  TokenId token = 0;
  double probability = 0.0;
};

// The tokens that may be chosen, in order of ids, with probabilities that sum to 1. `logits`: [vocabulary]; the penalty
// is applied in place. `seen`: the tokens to be penalised, each once. Raises Error (failed) for logits that are NaN, or
// none of which is finite.
std::vector<Candidate> candidate_tokens(std::span<float> logits, std::span<const TokenId> seen,
                                        const TokenChoice& settings);

// One of the candidates. The number drawn depends on the seed, the sequence and the position alone.
TokenId choose_token(std::span<float> logits, std::span<const TokenId> seen, const TokenChoice& settings,
                     std::uint64_t sequence, std::uint64_t position);

}  // namespace kinglet
