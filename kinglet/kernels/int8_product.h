// Products of many rows with a matrix of int8 weights: what a prompt costs.
#pragma once

#include <cstdint>

#include "kinglet/kernels/few_rows.h"

namespace kinglet {

// y[r] = W x[r] (+ bias) for int8 weights (few_rows.h). x: [rows, in], y: [rows, out], bias: [out] or null.
// W is dequantised a few MiB at a time, to what the processor multiplies fastest: bf16, to which x is rounded too, or
// fp32 (multiplies_bfloat16(), matmul.h). Sums are fp32. Parallel inside.
void int8_product(const WeightMatrix& weights, std::int64_t rows, const float* x, const float* bias, float* y);

}  // namespace kinglet
