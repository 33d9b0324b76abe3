#include "kinglet/nn/linear.h"

#include "kinglet/nn/matrix_view.h"
#include "kinglet/nn/precision.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

// [rows, columns] fp32 = a b
at::Tensor product(const ConstMatrix& a, const ConstMatrix& b, const float* bias = nullptr) {
  at::Tensor result = at::empty({a.rows, b.columns}, at::kFloat);
  matmul(a, b, result_matrix(result), 1, bias);
  return result;
}

class Linear : public torch::autograd::Function<Linear> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias) {
    TORCH_CHECK(weight.dim() == 2 && x.dim() >= 1 && x.size(-1) == weight.size(1), "linear: x ", x.sizes(),
                " does not fit weight ", weight.sizes());
    const bool halves = precision() == Precision::kBFloat16 || weight.scalar_type() == at::kBFloat16;
    const at::ScalarType type = halves ? at::kBFloat16 : at::kFloat;
    const at::Tensor rows = x.reshape({-1, x.size(-1)}).to(type).contiguous();
    const at::Tensor operand = weight.to(type).contiguous();
    const bool has_bias = bias.numel() > 0;
    const at::Tensor added = bias.to(at::kFloat).contiguous();
    at::Tensor y =
        product(matrix_of(rows), matrix_of(operand).transposed(), has_bias ? added.data_ptr<float>() : nullptr);
    // The fp32 parameter is kept rather than its rounded copy, which is made again: half the memory for a cheap pass.
    context->save_for_backward({rows, weight});
    context->saved_data["has_bias"] = has_bias;
    context->saved_data["needs_x"] = x.requires_grad();
    auto sizes = x.sizes().vec();
    sizes.back() = weight.size(0);
    return y.view(sizes);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               const torch::autograd::tensor_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &rows = saved[0], &weight = saved[1];
    const at::Tensor full = gradients[0].reshape({-1, gradients[0].size(-1)}).contiguous();
    const at::Tensor slope = full.to(rows.scalar_type());
    at::Tensor grad_x, grad_weight, grad_bias;
    if (context->saved_data["needs_x"].toBool()) {
      const at::Tensor operand = weight.to(rows.scalar_type()).contiguous();
      auto sizes = gradients[0].sizes().vec();
      sizes.back() = weight.size(1);
      grad_x = product(matrix_of(slope), matrix_of(operand)).view(sizes);
    }
    if (weight.requires_grad()) grad_weight = product(matrix_of(slope).transposed(), matrix_of(rows));
    if (context->saved_data["has_bias"].toBool()) grad_bias = full.sum(0);
    return {grad_x, grad_weight, grad_bias};
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  static const at::Tensor none = at::empty({0});  // autograd functions of LibTorch 1.13 take no undefined tensors
  return Linear::apply(x, weight, bias.defined() ? bias : none);
}

}  // namespace kinglet::nn
