// Span-level consistency: inside a phrase, neighbouring distributions belong together (paper 2407.10068, Eq. 9-11).
//
// For each pair of neighbouring positions of a span, r = P_i * P_(i+1), class by class, of the teacher and of the
// student; the loss of the pair is the distance of the two vectors. Sums over classes, not means: most products are
// almost zero, and a mean over the vocabulary would make nothing of the loss.
#pragma once

#include <cstdint>
#include <vector>

#include "kinglet/methods/mgsr/distributions.h"

namespace kinglet::mgsr {

enum class SpanDistance {
  kEuclidean,  // sqrt(sum of squares + 1e-12), the paper's
  kSquared,
};

struct PairLosses {
  at::Tensor losses;    // [pairs]
  at::Tensor gradient;  // [rows, vocabulary]: of the sum of the losses, for the student's logits
};

// firsts: the first row of each pair, whose second is the next row. None: losses of size 0 and a zero gradient.
PairLosses span_losses(const Distributions& rows, const std::vector<std::int64_t>& firsts, SpanDistance distance);

}  // namespace kinglet::mgsr
