// The Memory Layer (kernels/memory_layer.h) on a GPU. Every pointer but `shape` and `weighting` is of the device; calls
// return before the work is done, and follow each other on `stream`. Results do not depend on timing: no atomics, sums
// in a fixed order. Numbers differ from the CPU's by rounding.
//
// Errors of the driver raise Error (failed).
#pragma once

#include <cstdint>

#include "kinglet/io/dtype.h"
#include "kinglet/kernels/memory_layer.h"

namespace kinglet::cuda {

using Stream = void*;  // a cudaStream_t; null: the default stream

// codes, weights: [tokens, tables]. Unlike on the CPU nobody waits for the answer whether there was a NaN: a chunk with
// one gets the weight NaN, for every score, so that it shows in the output.
void memory_hash(const MemoryShape& shape, const MemoryWeighting& weighting, std::int64_t tokens, const float* x,
                 std::uint16_t* codes, float* weights, Stream stream);
void memory_hash_backward(const MemoryShape& shape, const MemoryWeighting& weighting, std::int64_t tokens,
                          const float* x, const float* grad_weights, float* grad_x, Stream stream);

// out[n] = bias + sum_k weights[n, k] rows[k, codes[n, k]]; rows: [tables][2^bits][width] of F32 or BF16, bias: [width]
// or null, out: [tokens, width]. Sums are fp32.
void memory_gather(const MemoryShape& shape, const void* rows, DType dtype, std::int64_t tokens,
                   const std::uint16_t* codes, const float* weights, const float* bias, float* out, Stream stream);

// grad_weights[n, k] = <grad_out[n], rows[k, codes[n, k]]>; rows: F32.
void memory_weight_gradient(const MemoryShape& shape, const float* rows, std::int64_t tokens,
                            const std::uint16_t* codes, const float* grad_out, float* grad_weights, Stream stream);

// The tokens of each table in the order of their codes, those of one code ascending: [tables][tokens] each.
struct SortedTokens {
  const std::int32_t* codes = nullptr;
  const std::int64_t* tokens = nullptr;
};
// grad_rows[i] = sum over the tokens n that read row wanted[i] of weights[n, k] grad_out[n]: the segment of the sorted
// tokens that belongs to the row. wanted: [count], each a table * 2^bits + code; null: every row, count = all of them.
// Rows that nobody read get zeros, so grad_rows [count, width] need not be cleared.
void memory_row_gradient(const MemoryShape& shape, std::int64_t tokens, const SortedTokens& sorted,
                         const std::int64_t* wanted, std::int64_t count, const float* weights, const float* grad_out,
                         float* grad_rows, Stream stream);

}  // namespace kinglet::cuda
