#include "kinglet/nn/ffn.h"

#include <torch/torch.h>

namespace kinglet::nn {

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kSilu:
      return at::silu(x);
  }
  TORCH_CHECK(false, "unknown activation");
}

PlainFfn::PlainFfn(std::shared_ptr<Projection> up, std::shared_ptr<Projection> down, Activation activation)
    : up_(register_module("up", std::move(up))),
      down_(register_module("down", std::move(down))),
      activation_(activation) {}

at::Tensor PlainFfn::forward(const at::Tensor& x) { return down_->forward(activate(up_->forward(x), activation_)); }

GatedFfn::GatedFfn(std::shared_ptr<Projection> gate, std::shared_ptr<Projection> up, std::shared_ptr<Projection> down,
                   Activation activation)
    : gate_(register_module("gate", std::move(gate))),
      up_(register_module("up", std::move(up))),
      down_(register_module("down", std::move(down))),
      activation_(activation) {}

at::Tensor GatedFfn::forward(const at::Tensor& x) {
  return down_->forward(activate(gate_->forward(x), activation_) * up_->forward(x));
}

}  // namespace kinglet::nn
