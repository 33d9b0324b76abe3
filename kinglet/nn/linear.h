// y = x W^T + b through the house's matrix product, with autograd.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Optional.h>

namespace kinglet::nn {

// x: [..., in] fp32, weight: [out, in] fp32 or bf16, bias: [out] fp32 or undefined; returns [..., out] fp32.
// Computes in precision() (precision.h), or in bf16 when the weight is bf16. The gradient of x, weight and bias is
// fp32.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

}  // namespace kinglet::nn
