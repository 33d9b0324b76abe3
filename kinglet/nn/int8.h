// Matrices rounded to int8 for inference, in groups of 64 along a row with an fp32 scale each (kernels/few_rows.h): 8.5
// bits a weight.
#pragma once

#include <ATen/core/Tensor.h>

namespace kinglet::nn {

struct Int8Matrix {
  at::Tensor values;  // [out, in] int8
  at::Tensor scales;  // [out, ceil(in / 64)] fp32
};

// matrix: [out, in] of any floating type.
Int8Matrix quantize_int8(const at::Tensor& matrix);

// [out, in] fp32.
at::Tensor dequantize_int8(const at::Tensor& values, const at::Tensor& scales);

// Rows of a matrix of any kind as fp32, by number: rows int64 [...] -> [..., in]. `scales` as above, undefined unless
// the matrix is int8.
at::Tensor embedding_rows(const at::Tensor& matrix, const at::Tensor& scales, const at::Tensor& rows);

}  // namespace kinglet::nn
