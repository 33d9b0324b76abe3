// y = x W^T + b through the house's matrix product, with autograd.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Optional.h>

namespace kinglet::nn {

// x: [..., in] fp32, weight: [out, in] fp32 or bf16, bias: [out] fp32 or undefined; returns [..., out] fp32.
// Computes in precision() (precision.h), or in bf16 when the weight is bf16. The gradient of x, weight and bias is
// fp32. Without autograd a few rows (as in decoding) are multiplied at the rate at which the weight is read, with x in
// fp32 (kernels/few_rows.h).
// An int8 weight comes with its `scales` (int8.h) and is for inference: x must not need a gradient.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {},
                  const at::Tensor& scales = {});

}  // namespace kinglet::nn
