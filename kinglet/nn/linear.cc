#include "kinglet/nn/linear.h"

#include "kinglet/kernels/few_rows.h"
#include "kinglet/kernels/int8_product.h"
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

// Beyond, oneDNN's products are faster than reading each weight for every block of rows.
constexpr std::int64_t kFewRows = 16;

// Of a contiguous weight.
WeightMatrix weight_view(const at::Tensor& weight, const at::Tensor& scales) {
  WeightMatrix view{WeightKind::kFloat32, weight.data_ptr(), nullptr, weight.size(0), weight.size(1)};
  if (weight.scalar_type() == at::kBFloat16) view.kind = WeightKind::kBFloat16;
  if (weight.scalar_type() != at::kChar) return view;
  view.kind = WeightKind::kInt8;
  view.scales = scales.data_ptr<float>();
  return view;
}

at::Tensor linear_without_autograd(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                   const at::Tensor& scales) {
  TORCH_CHECK(weight.dim() == 2 && x.dim() >= 1 && x.size(-1) == weight.size(1), "linear: x ", x.sizes(),
              " does not fit weight ", weight.sizes());
  auto sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  const at::Tensor rows = x.reshape({-1, x.size(-1)}).to(at::kFloat).contiguous();
  const at::Tensor added = bias.defined() ? bias.to(at::kFloat).contiguous() : bias;
  const float* const added_values = added.defined() && added.numel() > 0 ? added.data_ptr<float>() : nullptr;
  const bool is_int8 = weight.scalar_type() == at::kChar, is_half = weight.scalar_type() == at::kBFloat16;
  const bool rounds = precision() == Precision::kBFloat16 && !is_int8 && !is_half;  // to what training computes with
  const bool few = rows.size(0) <= kFewRows && weight.is_contiguous() && !rounds;
  if (few || is_int8) {
    at::Tensor y = at::empty({rows.size(0), weight.size(0)}, at::kFloat);
    const auto multiply = few ? few_rows_product : int8_product;
    multiply(weight_view(weight, scales), rows.size(0), rows.data_ptr<float>(), added_values, y.data_ptr<float>());
    return y.view(sizes);
  }
  const at::ScalarType type = rounds || is_half ? at::kBFloat16 : at::kFloat;
  const at::Tensor operand = weight.to(type).contiguous();
  return product(matrix_of(rows.to(type)), matrix_of(operand).transposed(), added_values).view(sizes);
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& scales) {
  if (!at::GradMode::is_enabled()) return linear_without_autograd(x, weight, bias, scales);
  if (weight.scalar_type() == at::kChar) {
    TORCH_CHECK(!x.requires_grad(), "linear: an int8 weight gives no gradients");
    return linear_without_autograd(x, weight, bias, scales);
  }
  static const at::Tensor none = at::empty({0});  // autograd functions of LibTorch 1.13 take no undefined tensors
  return Linear::apply(x, weight, bias.defined() ? bias : none);
}

}  // namespace kinglet::nn
