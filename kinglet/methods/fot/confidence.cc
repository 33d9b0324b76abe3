#include "kinglet/methods/fot/confidence.h"

#include <algorithm>
#include <cmath>

namespace kinglet::fot {

std::optional<Confidence> confidence_of(std::span<const double> log_probs) {
  Confidence confidence;
  double sum = 0;
  int count = 0;
  for (const double log_prob : log_probs) {
    if (!std::isfinite(log_prob)) {
      ++confidence.ignored;
      continue;
    }
    sum += std::min(log_prob, 0.0);
    ++count;
  }
  if (count == 0) return std::nullopt;
  confidence.mean_log_prob = sum / count;
  confidence.value = std::exp(confidence.mean_log_prob);
  return confidence;
}

double log_threshold(double tau) { return std::log(tau); }

}  // namespace kinglet::fot
