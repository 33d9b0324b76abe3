// The Memory Layer in plain loops, for fp32 and double: what the kernels are tested against, and what gradient checks
// run on.
#pragma once

#include <cmath>
#include <cstdint>

#include "kinglet/kernels/memory_layer.h"

#ifdef __CUDACC__
#define KINGLET_ON_EVERY_DEVICE __host__ __device__  // CUDA kernels take a chunk as it stands here
#else
#define KINGLET_ON_EVERY_DEVICE
#endif

namespace kinglet {

// What a chunk z [bits] says: its row, the row's weight, and the weight's gradient [bits] when `slope` is given.
template <typename Real>
struct MemoryChunk {
  std::uint16_t code = 0;
  Real weight = 0;

  KINGLET_ON_EVERY_DEVICE MemoryChunk(const MemoryWeighting& weighting, int bits, const Real* z,
                                      Real* slope = nullptr) {
    constexpr Real kLargest = 1e4;
    const Real t = static_cast<Real>(weighting.temperature);
    Real p = 1, sum = 0, factor = 2 / t;
    for (int i = 0; i < bits; ++i) {
      if (z[i] >= 0) code = static_cast<std::uint16_t>(code | 1U << i);
      p *= 1 / (1 + std::exp(-factor * std::abs(z[i])));
      sum += std::abs(z[i]) > kLargest ? kLargest : std::abs(z[i]);
    }
    if (weighting.score == MemoryScore::kAdaptiveTemperature) {
      factor = 1 / (p * t);
      p = 1;
      for (int i = 0; i < bits; ++i) p *= 1 / (1 + std::exp(-factor * std::abs(z[i])));
    }
    const bool with_sum = weighting.score == MemoryScore::kSumProb, constant = weighting.score == MemoryScore::kNone;
    weight = constant ? Real{1} : (with_sum ? sum * p : p);
    if (slope == nullptr) return;
    for (int i = 0; i < bits; ++i) {
      const Real size = std::abs(z[i]), decay = std::exp(-factor * size), sign = z[i] >= 0 ? Real{1} : Real{-1};
      const Real of_sum = with_sum && size < kLargest ? p : Real{0};
      slope[i] = constant ? Real{0} : sign * (of_sum + weight * factor * decay / (1 + decay));
    }
  }
};

template <typename Real>
void memory_hash_reference(const MemoryShape& shape, const MemoryWeighting& weighting, std::int64_t tokens,
                           const Real* x, std::uint16_t* codes, Real* weights) {
  for (std::int64_t i = 0; i < tokens * shape.tables; ++i) {
    const MemoryChunk<Real> chunk(weighting, shape.bits, x + i * shape.bits);
    codes[i] = chunk.code;
    weights[i] = chunk.weight;
  }
}

template <typename Real>
void memory_hash_backward_reference(const MemoryShape& shape, const MemoryWeighting& weighting, std::int64_t tokens,
                                    const Real* x, const Real* grad_weights, Real* grad_x) {
  for (std::int64_t i = 0; i < tokens * shape.tables; ++i) {
    Real* const slope = grad_x + i * shape.bits;
    const MemoryChunk<Real> chunk(weighting, shape.bits, x + i * shape.bits, slope);
    for (int j = 0; j < shape.bits; ++j) slope[j] *= grad_weights[i];
  }
}

// tables: [tables][2^bits][width]; bias: [width] or null.
template <typename Real>
void memory_gather_reference(const MemoryShape& shape, const Real* tables, std::int64_t tokens,
                             const std::uint16_t* codes, const Real* weights, const Real* bias, Real* out) {
  for (std::int64_t n = 0; n < tokens; ++n) {
    Real* const y = out + n * shape.width;
    for (std::int64_t j = 0; j < shape.width; ++j) y[j] = bias == nullptr ? Real{0} : bias[j];
    for (std::int64_t k = 0; k < shape.tables; ++k) {
      const std::int64_t at = n * shape.tables + k;
      const Real* const row = tables + ((k << shape.bits) + codes[at]) * shape.width;
      for (std::int64_t j = 0; j < shape.width; ++j) y[j] += weights[at] * row[j];
    }
  }
}

// Adds to grad_tables and writes grad_weights.
template <typename Real>
void memory_gather_backward_reference(const MemoryShape& shape, const Real* tables, std::int64_t tokens,
                                      const std::uint16_t* codes, const Real* weights, const Real* grad_out,
                                      Real* grad_tables, Real* grad_weights) {
  for (std::int64_t n = 0; n < tokens; ++n) {
    const Real* const g = grad_out + n * shape.width;
    for (std::int64_t k = 0; k < shape.tables; ++k) {
      const std::int64_t at = n * shape.tables + k, row = ((k << shape.bits) + codes[at]) * shape.width;
      Real dot = 0;
      for (std::int64_t j = 0; j < shape.width; ++j) {
        dot += g[j] * tables[row + j];
        grad_tables[row + j] += weights[at] * g[j];
      }
      grad_weights[at] = dot;
    }
  }
}

}  // namespace kinglet
