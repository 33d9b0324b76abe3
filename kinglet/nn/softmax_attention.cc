#include "kinglet/nn/softmax_attention.h"

#include "kinglet/kernels/attention.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

at::Tensor with_contiguous_heads(const at::Tensor& tensor) {
  return tensor.stride(-1) == 1 && tensor.scalar_type() == at::kFloat ? tensor : tensor.to(at::kFloat).contiguous();
}

ConstHeads reading(const at::Tensor& t) { return {t.data_ptr<float>(), t.stride(0), t.stride(1), t.stride(2)}; }
Heads writing(at::Tensor& t) { return {t.data_ptr<float>(), t.stride(0), t.stride(1), t.stride(2)}; }

AttentionShape shape_of(const at::Tensor& q, const at::Tensor& k) {
  return {q.size(0), q.size(2), k.size(2), q.size(1), k.size(1), q.size(3)};
}

AttentionMask kernel_mask(bool causal, std::int64_t window, const at::Tensor& first_key) {
  return {causal, window, first_key.numel() > 0 ? first_key.data_ptr<std::int32_t>() : nullptr};
}

void check(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const SoftmaxMask& mask) {
  TORCH_CHECK(q.dim() == 4 && k.dim() == 4 && v.sizes() == k.sizes() && q.size(0) == k.size(0) &&
                  q.size(3) == k.size(3) && k.size(2) > 0 && q.size(2) % k.size(2) == 0,
              "attention: q ", q.sizes(), ", k ", k.sizes(), ", v ", v.sizes());
  TORCH_CHECK(!mask.causal || k.size(1) >= q.size(1), "attention: fewer keys than queries");
  TORCH_CHECK(!mask.first_key.defined() || (mask.first_key.dim() == 2 && mask.first_key.size(0) == q.size(0) &&
                                            mask.first_key.size(1) == q.size(1)),
              "attention: first_key must be [batch, queries]");
}

class SoftmaxAttentionFunction : public torch::autograd::Function<SoftmaxAttentionFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q_in, const at::Tensor& k_in,
                            const at::Tensor& v_in, bool causal, std::int64_t window, const at::Tensor& first_key,
                            double scale) {
    const at::Tensor q = with_contiguous_heads(q_in), k = with_contiguous_heads(k_in), v = with_contiguous_heads(v_in);
    at::Tensor out = at::empty(q.sizes(), at::kFloat);
    at::Tensor log_sum_exp = at::empty({q.size(0), q.size(2), q.size(1)}, at::kFloat);
    attention_forward(shape_of(q, k), kernel_mask(causal, window, first_key), static_cast<float>(scale), reading(q),
                      reading(k), reading(v), writing(out), log_sum_exp.data_ptr<float>());
    context->save_for_backward({q, k, v, out, log_sum_exp, first_key});
    context->saved_data["causal"] = causal;
    context->saved_data["window"] = window;
    context->saved_data["scale"] = scale;
    return out;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               const torch::autograd::tensor_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    const at::Tensor grad_out = with_contiguous_heads(gradients[0]);
    at::Tensor grad_q = at::empty(q.sizes(), at::kFloat);
    at::Tensor grad_k = at::empty(k.sizes(), at::kFloat), grad_v = at::empty(v.sizes(), at::kFloat);
    const AttentionMask mask =
        kernel_mask(context->saved_data["causal"].toBool(), context->saved_data["window"].toInt(), saved[5]);
    attention_backward(shape_of(q, k), mask, static_cast<float>(context->saved_data["scale"].toDouble()), reading(q),
                       reading(k), reading(v), reading(saved[3]), saved[4].data_ptr<float>(), reading(grad_out),
                       writing(grad_q), writing(grad_k), writing(grad_v));
    return {grad_q, grad_k, grad_v, {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor softmax_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const SoftmaxMask& mask,
                             double scale) {
  check(q, k, v, mask);
  static const at::Tensor none = at::empty({0}, at::kInt);  // undefined tensors are not taken by LibTorch 1.13
  const at::Tensor first_key = mask.first_key.defined() ? mask.first_key.to(at::kInt).contiguous() : none;
  if (!at::GradMode::is_enabled()) {
    const at::Tensor query = with_contiguous_heads(q), key = with_contiguous_heads(k), value = with_contiguous_heads(v);
    at::Tensor out = at::empty(q.sizes(), at::kFloat);
    attention_forward(shape_of(query, key), kernel_mask(mask.causal, mask.window, first_key), static_cast<float>(scale),
                      reading(query), reading(key), reading(value), writing(out), nullptr);
    return out;
  }
  return SoftmaxAttentionFunction::apply(q, k, v, mask.causal, mask.window, first_key, scale);
}

}  // namespace kinglet::nn
