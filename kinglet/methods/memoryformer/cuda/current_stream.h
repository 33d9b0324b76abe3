#pragma once

#include <ATen/core/Tensor.h>

#include "kinglet/kernels/cuda/memory_layer_cuda.h"

namespace kinglet::cuda {

// The stream on which LibTorch works at the device of x; kernels started on it follow what it was told before.
Stream current_stream(const at::Tensor& x);

}  // namespace kinglet::cuda
