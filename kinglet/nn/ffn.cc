#include "kinglet/nn/ffn.h"

#include "kinglet/kernels/gate.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

at::Tensor silu_gate(const at::Tensor& gate, const at::Tensor& up) {
  at::Tensor out = at::empty_like(gate);
  silu_gate_forward(gate.numel(), gate.data_ptr<float>(), up.data_ptr<float>(), out.data_ptr<float>());
  return out;
}

// silu(gate) * up in one pass, keeping its two inputs only.
class SiluGate : public torch::autograd::Function<SiluGate> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& gate_in,
                            const at::Tensor& up_in) {
    const at::Tensor gate = gate_in.contiguous(), up = up_in.contiguous();
    at::Tensor out = silu_gate(gate, up);
    context->save_for_backward({gate, up});
    return out;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               const torch::autograd::tensor_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &gate = saved[0], &up = saved[1], grad_out = gradients[0].contiguous();
    at::Tensor grad_gate = at::empty_like(gate), grad_up = at::empty_like(up);
    silu_gate_backward(gate.numel(), gate.data_ptr<float>(), up.data_ptr<float>(), grad_out.data_ptr<float>(),
                       grad_gate.data_ptr<float>(), grad_up.data_ptr<float>());
    return {grad_gate, grad_up};
  }
};

}  // namespace

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
  const at::Tensor gate = gate_->forward(x), up = up_->forward(x);
  if (activation_ != Activation::kSilu) return down_->forward(activate(gate, activation_) * up);
  return down_->forward(at::GradMode::is_enabled() ? SiluGate::apply(gate, up)
                                                   : silu_gate(gate.contiguous(), up.contiguous()));
}

}  // namespace kinglet::nn
