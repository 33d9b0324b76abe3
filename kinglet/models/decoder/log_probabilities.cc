#include "kinglet/models/decoder/log_probabilities.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kinglet/kernels/logits.h"

namespace kinglet {
namespace {

double log_sum_of_exponentials(std::span<const float> logits) {
  const LargestLogit place = largest_logit(logits);
  if (place.has_nan) return std::numeric_limits<double>::quiet_NaN();
  const float largest = logits[place.index];
  std::array<float, 4096> weights;
  double sum = 0.0;
  for (std::size_t begin = 0; begin < logits.size(); begin += weights.size()) {
    const auto piece = logits.subspan(begin, std::min(weights.size(), logits.size() - begin));
    sum += softmax_weights(piece, largest, 1.0F, std::span(weights).first(piece.size()));
  }
  return static_cast<double>(largest) + std::log(sum);
}

// Ids of the largest logits, in order. One pass: hardly any logit is among them.
std::vector<TokenId> largest_tokens(std::span<const float> logits, std::size_t count) {
  std::vector<TokenId> best;
  if (count == 0) return best;
  const auto logit = [&](TokenId token) { return logits[static_cast<std::size_t>(token)]; };
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (best.size() == count && !(logits[i] > logit(best.back()))) continue;
    if (best.size() == count) best.pop_back();
    const auto place = std::find_if(best.begin(), best.end(), [&](TokenId other) { return logits[i] > logit(other); });
    best.insert(place, static_cast<TokenId>(i));
  }
  return best;
}

}  // namespace

LogProbabilities::LogProbabilities(std::span<const float> logits, std::int64_t alternatives)
    : logits_(logits.begin(), logits.end()), normaliser_(log_sum_of_exponentials(logits)) {
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(alternatives, 0));
  for (const TokenId token : largest_tokens(logits_, std::min(count, logits_.size()))) {
    best_.push_back({token, of(token)});
  }
}

double LogProbabilities::of(TokenId token) const {
  return static_cast<double>(logits_[static_cast<std::size_t>(token)]) - normaliser_;
}

}  // namespace kinglet
