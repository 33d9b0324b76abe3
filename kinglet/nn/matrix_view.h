// Two-dimensional tensors as the matrices of kernels/matmul.h.
#pragma once

#include <ATen/core/Tensor.h>

#include "kinglet/kernels/matmul.h"

namespace kinglet::nn {

// tensor: [rows, columns] contiguous, fp32 or bf16 (anything else is a programming mistake). Lives as long as the
// tensor.
ConstMatrix matrix_of(const at::Tensor& tensor);
Matrix result_matrix(at::Tensor& tensor);

}  // namespace kinglet::nn
