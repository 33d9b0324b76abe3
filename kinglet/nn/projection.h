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
  // Rounds the weights to int8 (int8.h), for inference only and for good; does nothing where that is not possible.
  virtual void round_to_int8() {}
};

// y = x W^T + b; parameters weight [out, in] and, with_bias, bias [out]. Once rounded to int8 the weight takes
// no gradient.
class DenseProjection : public Projection {
 public:
  DenseProjection(std::int64_t in, std::int64_t out, bool with_bias);
  at::Tensor forward(const at::Tensor& x) override;
  void round_to_int8() override;

  at::Tensor weight, bias;

 private:
  at::Tensor scales_;  // of an int8 weight
};

}  // namespace kinglet::nn
