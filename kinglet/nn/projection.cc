#include "kinglet/nn/projection.h"

#include "kinglet/nn/linear.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {

DenseProjection::DenseProjection(std::int64_t in, std::int64_t out, bool with_bias) {
  weight = register_parameter("weight", torch::empty({out, in}));
  if (with_bias) bias = register_parameter("bias", torch::empty({out}));
}

at::Tensor DenseProjection::forward(const at::Tensor& x) { return nn::linear(x, weight, bias); }

}  // namespace kinglet::nn
