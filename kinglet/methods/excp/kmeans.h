// One-dimensional k-means for the codebooks: optimal by dynamic programming over sorted weighted points, Lloyd's
// iteration, and the published sampled variant for comparison. [ExCP equation (8); specification 2.6]
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kinglet/base/rng.h"

namespace kinglet::excp {

struct WeightedPoint {
  double value = 0;
  std::uint64_t count = 0;
};

struct Clustering {
  std::vector<double> centres;  // ascending; at most k, fewer when there are fewer distinct values
  double sse = 0;               // sum of squared distances of the points to their centres
};

// Optimal clustering; O(k m log m) for m points. `points` strictly ascending by value, counts > 0. k >= 1.
Clustering kmeans_optimal(std::span<const WeightedPoint> points, int k);

// Lloyd from quantile initialisation until nothing moves (at most `max_iterations`).
Clustering kmeans_lloyd(std::span<const WeightedPoint> points, int k, int max_iterations = 1000);

// The published procedure: 256 * k random samples of the data, k of them as initial centres, 25 iterations; an empty
// cluster splits the largest one.
Clustering kmeans_sampled(std::span<const float> values, int k, Rng& rng);

}  // namespace kinglet::excp
