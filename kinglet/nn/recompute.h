// Gradient checkpointing (Chen et al. 2016): a block whose activations are computed again in the backward pass.
#pragma once

#include <functional>

#include <ATen/core/Tensor.h>

namespace kinglet::nn {

using Block = std::function<at::Tensor(const at::Tensor&)>;

// block(x), keeping only x. The block must be deterministic; gradients reach x and every parameter that it uses.
// Without gradients, or where x needs none, it is a plain call.
at::Tensor recompute(const Block& block, const at::Tensor& x);

}  // namespace kinglet::nn
