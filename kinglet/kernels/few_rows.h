// Products of a few rows with a large matrix of weights: what decoding a token costs.
//
// Every weight is read once for all rows and used from a register, so the time is that of reading the matrix: the rate
// to compare with is the memory's. The sum of a row has an order of its own, the same for every number of rows beside
// it: a sequence decoded alone or in a batch gets the same bits.
#pragma once

#include <cstdint>

namespace kinglet {

enum class WeightKind { kFloat32, kBFloat16, kInt8 };

// Weights of one int8 group share a scale: weight = value * scale.
inline constexpr std::int64_t kInt8Group = 64;

// [out, in], rows contiguous.
struct WeightMatrix {
  WeightKind kind = WeightKind::kFloat32;
  const void* values = nullptr;
  const float* scales = nullptr;  // int8: [out, ceil(in / kInt8Group)]
  std::int64_t out = 0;
  std::int64_t in = 0;
};

// y[r] = W x[r] (+ bias). x: [rows, in], y: [rows, out], bias: [out] or null. Sums are fp32. Parallel over `out`.
void few_rows_product(const WeightMatrix& weights, std::int64_t rows, const float* x, const float* bias, float* y);

// Rounds a row of weights to int8, to nearest: the scale of a group is its largest magnitude over 127. Values that are
// not finite give unspecified values. values: [in], scales: [ceil(in / kInt8Group)].
void quantize_int8_row(const float* row, std::int64_t in, std::int8_t* values, float* scales);
void dequantize_int8_row(const std::int8_t* values, const float* scales, std::int64_t in, float* row);

}  // namespace kinglet
