#include "kinglet/nn/projection.h"

#include "kinglet/nn/int8.h"
#include "kinglet/nn/linear.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {

DenseProjection::DenseProjection(std::int64_t in, std::int64_t out, bool with_bias) {
  weight = register_parameter("weight", torch::empty({out, in}));
  if (with_bias) bias = register_parameter("bias", torch::empty({out}));
}

at::Tensor DenseProjection::forward(const at::Tensor& x) { return nn::linear(x, weight, bias, scales_); }

void DenseProjection::round_to_int8() {
  if (weight.scalar_type() == at::kChar) return;
  Int8Matrix rounded = quantize_int8(weight);
  weight.requires_grad_(false);
  weight.set_data(rounded.values);
  scales_ = rounded.scales;
}

}  // namespace kinglet::nn
