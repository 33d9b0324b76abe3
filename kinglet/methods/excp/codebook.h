// From k-means centres to what a frame stores and the quantiser uses.
#pragma once

#include <vector>

#include "kinglet/methods/excp/kmeans.h"

namespace kinglet::excp {

struct Quantizer {
  std::vector<float> centres;     // strictly ascending
  std::vector<float> boundaries;  // [centres - 1], midpoints; class = 1 + number of boundaries below the value
};

// Optimal centres of the points, at most k. positive: second moments, whose zeros take the smallest centre instead of
// one of their own.
std::vector<double> codebook_centres(std::vector<WeightedPoint> points, int k, bool positive);

// Rounds to fp32 and joins what became equal. positive: every centre is > 0. At least one centre.
Quantizer make_quantizer(const std::vector<double>& centres, bool positive);

// The published format: centres as fp16. Small second moments become zero.
void round_to_half(std::vector<float>& centres);

}  // namespace kinglet::excp
