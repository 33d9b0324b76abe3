// A model's own log-probabilities of the next token: natural logarithms, before penalty, temperature and filters.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kinglet/models/decoder/token_engine.h"

namespace kinglet {

class LogProbabilities {
 public:
  // logits: [vocabulary], not empty; copied, so that they may be changed for the choice of a token. With NaN among them
  // every answer is NaN.
  LogProbabilities(std::span<const float> logits, std::int64_t alternatives);

  double of(TokenId token) const;
  // The likeliest tokens, most likely first, the lower id first among equals; as many as were asked for, at most all.
  const std::vector<TokenAlternative>& best() const { return best_; }

 private:
  std::vector<float> logits_;
  double normaliser_ = 0.0;
  std::vector<TokenAlternative> best_;
};

}  // namespace kinglet
