// The Norm plug: normalisation of the last dimension.
#pragma once

#include <cstdint>

#include <torch/nn/module.h>

namespace kinglet::nn {

class Norm : public torch::nn::Module {
 public:
  // x: [..., dim] fp32 -> same shape
  virtual at::Tensor forward(const at::Tensor& x) = 0;
};

// (x - mean) / sqrt(variance + eps) * weight + bias  (Ba et al. 2016)
class LayerNorm : public Norm {
 public:
  LayerNorm(std::int64_t dim, double eps, bool with_bias = true);
  at::Tensor forward(const at::Tensor& x) override;

 private:
  double eps_;
  at::Tensor weight_, bias_;
};

// x / sqrt(mean(x^2) + eps) * weight  (Zhang & Sennrich 2019); with `offset` 1 the factor is 1 + weight (Gemma).
class RmsNorm : public Norm {
 public:
  RmsNorm(std::int64_t dim, double eps, double offset = 0.0);
  at::Tensor forward(const at::Tensor& x) override;

 private:
  double eps_, offset_;
  at::Tensor weight_;
};

}  // namespace kinglet::nn
