// The Memory Layer of MemoryFormer (Ding et al. 2024, arXiv 2411.12992, equations 2-12): a matrix product replaced by
// look-ups. The input is cut into chunks of `bits` numbers; the signs of a chunk choose a row of the chunk's table, and
// the output is the weighted sum of the chosen rows.
//
// Two halves, so that several layers can share the first one:
//   memory_hash    x [tokens, tables * bits]  ->  codes and weights, each [tokens, tables]
//   memory_gather  codes, weights, tables     ->  y [tokens, width]          (memory_tables.h has the tables' layouts)
//
// memory_reference.h says the same in plain loops.
#pragma once

#include <cstdint>

namespace kinglet {

inline constexpr int kMostMemoryBits = 16;

struct MemoryShape {
  std::int64_t tables = 0;  // K
  int bits = 0;             // tau, 1 .. kMostMemoryBits: a table has 2^bits rows
  std::int64_t width = 0;   // h: elements of a row, and of the output

  std::int64_t inputs() const { return tables * bits; }
  std::int64_t rows_of_table() const { return std::int64_t{1} << bits; }
  std::int64_t rows() const { return tables << bits; }
};

// The weight of the chosen row. With p = prod_i 1 / (1 + exp(-2 |z_i| / t)), the softmax over all 2^bits sign patterns
// at the winning one, and S = sum_i |z_i|:
enum class MemoryScore : std::uint8_t {
  kProb,                 // p (the paper's equation 10)
  kSumProb,              // S p (the authors' code); |z_i| counts as at most 1e4 in S
  kAdaptiveTemperature,  // p at the inverse temperature 0.5 / (p t), whose p is a constant for the gradient
  kNone,                 // 1: a control, nothing is learnt below the layer but through residual paths
};

struct MemoryWeighting {
  MemoryScore score = MemoryScore::kProb;
  double temperature = 1.0;  // t > 0
};

// Bit i of a code is set where z_i >= 0 (so by -0.0 too), the first element of a chunk in the lowest bit.
// Returns the first token with a NaN among its inputs (its code and weight mean nothing), or -1.
std::int64_t memory_hash(const MemoryShape& shape, const MemoryWeighting& weighting, std::int64_t tokens,
                         const float* x, std::uint16_t* codes, float* weights);
// grad_x from grad_weights; the codes carry no gradient.
void memory_hash_backward(const MemoryShape& shape, const MemoryWeighting& weighting, std::int64_t tokens,
                          const float* x, const float* grad_weights, float* grad_x);

}  // namespace kinglet
