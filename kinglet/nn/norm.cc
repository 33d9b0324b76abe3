#include "kinglet/nn/norm.h"

#include <torch/torch.h>

namespace kinglet::nn {

LayerNorm::LayerNorm(std::int64_t dim, double eps, bool with_bias) : eps_(eps) {
  weight_ = register_parameter("weight", torch::ones({dim}));
  if (with_bias) bias_ = register_parameter("bias", torch::zeros({dim}));
}

at::Tensor LayerNorm::forward(const at::Tensor& x) { return at::layer_norm(x, {x.size(-1)}, weight_, bias_, eps_); }

RmsNorm::RmsNorm(std::int64_t dim, double eps, double offset) : eps_(eps), offset_(offset) {
  weight_ = register_parameter("weight", offset == 0.0 ? torch::ones({dim}) : torch::zeros({dim}));
}

at::Tensor RmsNorm::forward(const at::Tensor& x) {
  const at::Tensor normed = x * at::rsqrt(x.square().mean(-1, true) + eps_);
  return normed * (offset_ == 0.0 ? weight_ : weight_ + offset_);
}

}  // namespace kinglet::nn
