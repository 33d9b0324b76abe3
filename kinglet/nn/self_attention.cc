#include "kinglet/nn/self_attention.h"

#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

// One new token a row, without autograd: no padding of the keys to a common length, no product of its own a head.
at::Tensor attend_step(const SelfAttentionSettings& settings, const at::Tensor& q, const at::Tensor& k,
                       const at::Tensor& v, const AttentionContext& context) {
  const std::int64_t batch = q.size(0);
  TORCH_CHECK(context.caches.empty() || context.caches.size() == static_cast<std::size_t>(batch),
              "one cache a row of the batch");
  std::vector<SeenTokens> seen;
  if (context.caches.empty()) {
    context.cache->append(context.layer, k, v);
    const std::int64_t end = context.cache->length() + 1;
    const at::Tensor first_key =
        context.first_key.defined() ? context.first_key.to(at::kInt).contiguous() : context.first_key;
    for (std::int64_t row = 0; row < batch; ++row) {
      seen.push_back(context.cache->seen(context.layer, row, end, settings.window));
      if (!first_key.defined()) continue;
      const std::int64_t first = first_key.data_ptr<std::int32_t>()[row];
      seen.back().begin = std::min(end, std::max(seen.back().begin, first));
    }
  } else {
    const at::Tensor keys = k.contiguous(), values = v.contiguous();
    for (std::int64_t row = 0; row < batch; ++row) {
      KvCache& cache = *context.caches[static_cast<std::size_t>(row)];
      cache.append_token(context.layer, keys.data_ptr<float>() + row * keys.stride(0),
                         values.data_ptr<float>() + row * values.stride(0));
      seen.push_back(cache.seen(context.layer, 0, cache.length() + 1, settings.window));
    }
  }
  const at::Tensor query = q.contiguous();
  at::Tensor out = at::empty_like(query);
  attention_step(seen, settings.heads, settings.kv_heads, settings.head_dim, static_cast<float>(settings.scale),
                 query.data_ptr<float>(), out.data_ptr<float>());
  return out;
}

}  // namespace

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
  const bool is_step = tokens == 1 && settings.causal && !at::GradMode::is_enabled();
  if (is_step && (context.cache != nullptr || !context.caches.empty())) {
    return attend_step(settings, q, k, v, context).view({batch, tokens, settings.heads * settings.head_dim});
  }
  TORCH_CHECK(context.caches.empty(), "caches of their own are for one token a sequence, without autograd");
  if (context.cache != nullptr) std::tie(k, v) = context.cache->append(context.layer, k, v);
  const SoftmaxMask mask{settings.causal, settings.window, context.first_key};
  const at::Tensor mixed = softmax_attention(q, k, v, mask, settings.scale);
  return mixed.reshape({batch, tokens, settings.heads * settings.head_dim});
}

}  // namespace kinglet::nn
