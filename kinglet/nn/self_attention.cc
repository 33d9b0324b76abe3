#include "kinglet/nn/self_attention.h"

#include <torch/torch.h>

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
  const std::int64_t batch = x.size(0), tokens = x.size(1);
  at::Tensor q = q_->forward(x).view({batch, tokens, settings_.heads, settings_.head_dim});
  at::Tensor k = k_->forward(x).view({batch, tokens, settings_.kv_heads, settings_.head_dim});
  at::Tensor v = v_->forward(x).view({batch, tokens, settings_.kv_heads, settings_.head_dim});
  if (q_norm_) q = q_norm_->forward(q);
  if (k_norm_) k = k_norm_->forward(k);
  q = apply_rotary(q, context.angles);
  k = apply_rotary(k, context.angles);
  if (context.cache != nullptr) std::tie(k, v) = context.cache->append(context.layer, k, v);
  const SoftmaxMask mask{settings_.causal, settings_.window, context.first_key};
  const at::Tensor mixed = softmax_attention(q, k, v, mask, settings_.scale);
  return o_->forward(mixed.reshape({batch, tokens, settings_.heads * settings_.head_dim}));
}

}  // namespace kinglet::nn
