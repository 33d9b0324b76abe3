#include "kinglet/nn/recompute.h"

#include <torch/custom_class.h>

#include "kinglet/nn/precision.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

struct KeptBlock : torch::CustomClassHolder {
  KeptBlock(Block kept, Precision at_forward) : block(std::move(kept)), precision(at_forward) {}
  Block block;
  Precision precision;
};

class Recompute : public torch::autograd::Function<Recompute> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const c10::intrusive_ptr<KeptBlock>& kept) {
    context->save_for_backward({x});
    context->saved_data["block"] = c10::IValue::make_capsule(kept);
    const at::NoGradGuard no_grad;
    return kept->block(x);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               const torch::autograd::tensor_list& gradients) {
    const auto capsule = context->saved_data["block"].toCapsule();
    const auto* kept = static_cast<const KeptBlock*>(capsule.get());
    const at::Tensor x = context->get_saved_variables()[0].detach().requires_grad_();
    const at::AutoGradMode with_gradients(true);
    const PrecisionGuard guard(kept->precision);
    const at::Tensor y = kept->block(x);
    y.backward(gradients[0]);  // parameters collect their gradients here
    return {x.grad(), {}};
  }
};

}  // namespace

at::Tensor recompute(const Block& block, const at::Tensor& x) {
  if (!at::GradMode::is_enabled() || !x.requires_grad()) return block(x);
  return Recompute::apply(x, c10::make_intrusive<KeptBlock>(block, precision()));
}

}  // namespace kinglet::nn
