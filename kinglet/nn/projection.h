// The Projection plug: a learned map of the last dimension. Dense here; tables, LoRA and int8 are other classes.
#pragma once

#include <cstdint>
#include <memory>

#include <torch/nn/module.h>

namespace kinglet::nn {

class Projection : public torch::nn::Module {
 public:
  // x: [..., in] fp32 -> [..., out] fp32
  virtual at::Tensor forward(const at::Tensor& x) = 0;
};

// y = x W^T + b; parameters weight [out, in] and, with_bias, bias [out].
class DenseProjection : public Projection {
 public:
  DenseProjection(std::int64_t in, std::int64_t out, bool with_bias);
  at::Tensor forward(const at::Tensor& x) override;

  at::Tensor weight, bias;
};

}  // namespace kinglet::nn
