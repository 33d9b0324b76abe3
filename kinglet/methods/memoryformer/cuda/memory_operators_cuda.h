// What the operators of memory_operators.h do with tensors of a GPU. Tensors are contiguous and of one device, numbers
// fp32 (rows of gather_on_gpu also bf16); the calls return before the work is done.
#pragma once

#include <ATen/core/Tensor.h>

#include "kinglet/kernels/memory_layer.h"

namespace kinglet::cuda {

// x: [tokens, tables * bits]; codes, weights: [tokens, tables] int16 and fp32, which are written.
void hash_on_gpu(const MemoryShape& shape, const MemoryWeighting& weighting, const at::Tensor& x,
                 const at::Tensor& codes, const at::Tensor& weights);
at::Tensor hash_backward_on_gpu(const MemoryShape& shape, const MemoryWeighting& weighting, const at::Tensor& x,
                                const at::Tensor& grad_weights);

// rows: [tables * 2^bits, width], bias: [width] or without elements -> [tokens, width]
at::Tensor gather_on_gpu(const MemoryShape& shape, const at::Tensor& rows, const at::Tensor& codes,
                         const at::Tensor& weights, const at::Tensor& bias);
// grad_out: [tokens, width] -> [tokens, tables]
at::Tensor weight_gradient_on_gpu(const MemoryShape& shape, const at::Tensor& rows, const at::Tensor& codes,
                                  const at::Tensor& grad_out);
// The gradient of the rows [tables * 2^bits, width]; sparse: a coalesced sparse tensor of the rows that were read (then
// the call waits for their number).
at::Tensor row_gradient_on_gpu(const MemoryShape& shape, const at::Tensor& codes, const at::Tensor& weights,
                               const at::Tensor& grad_out, bool sparse);

}  // namespace kinglet::cuda
