#include "kinglet/nn/norm.h"

#include "kinglet/kernels/norm.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset, float* inverse) {
  const std::int64_t dim = x.size(-1), rows = dim == 0 ? 0 : x.numel() / dim;
  at::Tensor out = at::empty_like(x);
  rms_norm_forward(rows, dim, eps, static_cast<float>(offset), x.data_ptr<float>(), weight.data_ptr<float>(),
                   out.data_ptr<float>(), inverse);
  return out;
}

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x_in,
                            const at::Tensor& weight_in, double eps, double offset) {
    const at::Tensor x = x_in.contiguous(), weight = weight_in.contiguous();
    const std::int64_t dim = x.size(-1), rows = dim == 0 ? 0 : x.numel() / dim;
    at::Tensor inverse = at::empty({rows});
    at::Tensor out = rms_norm(x, weight, eps, offset, inverse.data_ptr<float>());
    context->save_for_backward({x, weight, inverse});
    context->saved_data["offset"] = offset;
    return out;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               const torch::autograd::tensor_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], grad_out = gradients[0].contiguous();
    at::Tensor grad_x = at::empty_like(x), grad_weight = at::empty_like(weight);
    rms_norm_backward(saved[2].numel(), x.size(-1), static_cast<float>(context->saved_data["offset"].toDouble()),
                      x.data_ptr<float>(), weight.data_ptr<float>(), saved[2].data_ptr<float>(),
                      grad_out.data_ptr<float>(), grad_x.data_ptr<float>(), grad_weight.data_ptr<float>());
    return {grad_x, grad_weight, {}, {}};
  }
};

}  // namespace

LayerNorm::LayerNorm(std::int64_t dim, double eps, bool with_bias) : eps_(eps) {
  weight_ = register_parameter("weight", torch::ones({dim}));
  if (with_bias) bias_ = register_parameter("bias", torch::zeros({dim}));
}

at::Tensor LayerNorm::forward(const at::Tensor& x) { return at::layer_norm(x, {x.size(-1)}, weight_, bias_, eps_); }

RmsNorm::RmsNorm(std::int64_t dim, double eps, double offset) : eps_(eps), offset_(offset) {
  weight_ = register_parameter("weight", offset == 0.0 ? torch::ones({dim}) : torch::zeros({dim}));
}

at::Tensor RmsNorm::forward(const at::Tensor& x) {
  TORCH_CHECK(x.size(-1) == weight_.size(0), "RMS norm of ", weight_.sizes(), " does not fit ", x.sizes());
  if (!at::GradMode::is_enabled()) return rms_norm(x.contiguous(), weight_.contiguous(), eps_, offset_, nullptr);
  return RmsNormFunction::apply(x, weight_, eps_, offset_);
}

}  // namespace kinglet::nn
