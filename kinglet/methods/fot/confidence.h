// How sure a model was of what it wrote: conf = exp(mean log p) over the tokens that it generated.
#pragma once

#include <optional>
#include <span>

namespace kinglet::fot {

struct Confidence {
  double mean_log_prob = 0;
  double value = 1;  // in (0, 1]
  int ignored = 0;   // log-probabilities that are no finite numbers
};

// Positive log-probabilities count as 0. Nothing when no finite one is there.
std::optional<Confidence> confidence_of(std::span<const double> log_probs);

// The threshold in terms of the mean log-probability; `tau` in (0, 1].
double log_threshold(double tau);

}  // namespace kinglet::fot
