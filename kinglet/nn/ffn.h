// The Ffn plug: the feed-forward block of a transformer layer.
#pragma once

#include <memory>
#include <string>

#include <torch/nn/module.h>

#include "kinglet/nn/activation.h"
#include "kinglet/nn/projection.h"

namespace kinglet::nn {

at::Tensor activate(const at::Tensor& x, Activation activation);

class Ffn : public torch::nn::Module {
 public:
  // x: [batch, tokens, dim] -> same shape
  virtual at::Tensor forward(const at::Tensor& x) = 0;
};

// down(activation(up(x)))
class PlainFfn : public Ffn {
 public:
  PlainFfn(std::shared_ptr<Projection> up, std::shared_ptr<Projection> down, Activation activation);
  at::Tensor forward(const at::Tensor& x) override;

 private:
  std::shared_ptr<Projection> up_, down_;
  Activation activation_;
};

// down(activation(gate(x)) * up(x))  (Shazeer 2020)
class GatedFfn : public Ffn {
 public:
  GatedFfn(std::shared_ptr<Projection> gate, std::shared_ptr<Projection> up, std::shared_ptr<Projection> down,
           Activation activation);
  at::Tensor forward(const at::Tensor& x) override;

 private:
  std::shared_ptr<Projection> gate_, up_, down_;
  Activation activation_;
};

}  // namespace kinglet::nn
