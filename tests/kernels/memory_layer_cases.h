// Memory Layers of many shapes with what the plain loops make of them, for the tests of every kernel.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kinglet/base/rng.h"
#include "kinglet/kernels/memory_reference.h"

namespace kinglet::testing_support {

inline constexpr MemoryScore kScores[] = {MemoryScore::kProb, MemoryScore::kSumProb, MemoryScore::kAdaptiveTemperature,
                                          MemoryScore::kNone};

inline std::vector<float> normal(std::int64_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(static_cast<std::size_t>(n));
  for (float& value : x) value = static_cast<float>(rng.normal());
  return x;
}

// The largest difference of two elements, to the largest element of b.
inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0, size = 1e-20;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, static_cast<double>(std::abs(a[i] - b[i])));
    size = std::max(size, static_cast<double>(std::abs(b[i])));
  }
  return largest / size;
}

struct LayerCase {
  std::int64_t tokens, tables;
  int bits;
  std::int64_t width;
};

// A layer with its input, and what the reference makes of them.
struct Layer {
  explicit Layer(const LayerCase& c, MemoryScore score = MemoryScore::kSumProb)
      : tokens(c.tokens),
        shape{c.tables, c.bits, c.width},
        weighting{score, 0.8},
        x(normal(tokens * shape.inputs(), 1)),
        tables(normal(shape.rows() * shape.width, 2)),
        bias(normal(shape.width, 3)),
        slope(normal(tokens * shape.width, 4)),
        codes(static_cast<std::size_t>(tokens * shape.tables)),
        weights(codes.size()),
        y(slope.size()),
        grad_tables(tables.size()),
        grad_weights(codes.size()),
        grad_x(x.size()) {
    if (!x.empty()) x[0] = -0.0F;
    memory_hash_reference(shape, weighting, tokens, x.data(), codes.data(), weights.data());
    memory_gather_reference(shape, tables.data(), tokens, codes.data(), weights.data(), bias.data(), y.data());
    memory_gather_backward_reference(shape, tables.data(), tokens, codes.data(), weights.data(), slope.data(),
                                     grad_tables.data(), grad_weights.data());
    memory_hash_backward_reference(shape, weighting, tokens, x.data(), grad_weights.data(), grad_x.data());
  }
  std::int64_t tokens;
  MemoryShape shape;
  MemoryWeighting weighting;
  std::vector<float> x, tables, bias, slope;
  std::vector<std::uint16_t> codes;
  std::vector<float> weights, y, grad_tables, grad_weights, grad_x;
};

inline std::vector<LayerCase> layer_cases() {
  std::vector<LayerCase> all;
  for (const std::int64_t tokens : {1, 2, 63, 64, 65}) {
    for (int bits = 1; bits <= 12; ++bits) {
      const std::int64_t width = (tokens + bits) % 3 == 0 ? 300 : ((tokens + bits) % 3 == 1 ? 64 : 37);
      all.push_back({tokens, bits > 8 ? 3 : (bits % 2 == 0 ? 5 : 19), bits, width});
    }
  }
  all.push_back({3, 40, 6, 1031});
  all.push_back({1, 20, 5, 2048});
  all.push_back({0, 3, 4, 8});
  all.push_back({4, 1, 16, 5});
  return all;
}

}  // namespace kinglet::testing_support
