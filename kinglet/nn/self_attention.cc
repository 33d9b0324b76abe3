#include "kinglet/nn/self_attention.h"

#include "kinglet/nn/torch.h"

namespace kinglet::nn {

SelfAttention::SelfAttention(const SelfAttentionSettings& settings, std::shared_ptr<Projection> q,
                             std::shared_ptr<Projection> k, std::shared_ptr<Projection> v,
                             std::shared_ptr<Projection> o, std::shared_ptr<Norm> q_norm, std::shared_ptr<Norm> k_norm)
    : settings_(settings),
      q_(register_module("q", std::move(q))),
      k_(register_module("k", std::move(k))),
      v_(register_module("v", std::move(v))),
      o_(register_module("o", std::move(o))) {
  if (q_norm) q_norm_ = register_module("q_norm", std::move(q_norm));
  if (k_norm) k_norm_ = register_module("k_norm", std::move(k_norm));
}

at::Tensor SelfAttention::forward(const at::Tensor& x, const AttentionContext& context) {
  return o_->forward(
      attend_heads(settings_, q_->forward(x), k_->forward(x), v_->forward(x), context, q_norm_.get(), k_norm_.get()));
}

at::Tensor attend_heads(const SelfAttentionSettings& settings, const at::Tensor& q_in, const at::Tensor& k_in,
                        const at::Tensor& v_in, const AttentionContext& context, Norm* q_norm, Norm* k_norm) {
  const std::int64_t batch = q_in.size(0), tokens = q_in.size(1);
  at::Tensor q = q_in.view({batch, tokens, settings.heads, settings.head_dim});
  at::Tensor k = k_in.view({batch, tokens, settings.kv_heads, settings.head_dim});
  at::Tensor v = v_in.view({batch, tokens, settings.kv_heads, settings.head_dim});
  if (q_norm != nullptr) q = q_norm->forward(q);
  if (k_norm != nullptr) k = k_norm->forward(k);
  q = apply_rotary(q, context.angles);
  k = apply_rotary(k, context.angles);
  if (context.cache != nullptr) std::tie(k, v) = context.cache->append(context.layer, k, v);
  const SoftmaxMask mask{settings.causal, settings.window, context.first_key};
  const at::Tensor mixed = softmax_attention(q, k, v, mask, settings.scale);
  return mixed.reshape({batch, tokens, settings.heads * settings.head_dim});
}

}  // namespace kinglet::nn
