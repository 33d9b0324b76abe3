// The Attention plug: how tokens of a sequence look at each other. Softmax here; linear attention is another class.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include <torch/nn/module.h>

#include "kinglet/nn/kv_cache.h"
#include "kinglet/nn/norm.h"
#include "kinglet/nn/projection.h"
#include "kinglet/nn/rotary.h"
#include "kinglet/nn/softmax_attention.h"

namespace kinglet::nn {

// What a layer needs to know besides its input.
struct AttentionContext {
  RotaryAngles angles;       // undefined tensors: no rotary embedding
  at::Tensor first_key;      // as SoftmaxMask
  KvCache* cache = nullptr;  // null: the keys are those of the input
  std::int64_t layer = 0;    // number of the layer in the cache
  // Not empty: a step of sequences that each have a cache of their own, one row of the batch and one token each.
  std::span<KvCache* const> caches{};
};

class Attention : public torch::nn::Module {
 public:
  // x: [batch, tokens, dim] -> same shape
  virtual at::Tensor forward(const at::Tensor& x, const AttentionContext& context) = 0;
};

struct SelfAttentionSettings {
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 1;
  std::int64_t window = 0;  // > 0: sliding window
  double scale = 1.0;
  bool causal = true;
};

// The middle of an attention block: q [batch, tokens, heads * head_dim], k and v [batch, tokens, kv_heads * head_dim]
// go through the optional norms of heads, the rotary embedding, the cache and the softmax; the heads side by side,
// [batch, tokens, heads * head_dim].
at::Tensor attend_heads(const SelfAttentionSettings& settings, const at::Tensor& q, const at::Tensor& k,
                        const at::Tensor& v, const AttentionContext& context, Norm* q_norm = nullptr,
                        Norm* k_norm = nullptr);

// Multi-head attention with grouped keys (Ainslie et al. 2023); q_norm and k_norm, when given, normalise each head
// before the rotary embedding (Qwen3, Gemma 3).
class SelfAttention : public Attention {
 public:
  SelfAttention(const SelfAttentionSettings& settings, std::shared_ptr<Projection> q, std::shared_ptr<Projection> k,
                std::shared_ptr<Projection> v, std::shared_ptr<Projection> o, std::shared_ptr<Norm> q_norm = nullptr,
                std::shared_ptr<Norm> k_norm = nullptr);
  at::Tensor forward(const at::Tensor& x, const AttentionContext& context) override;

 private:
  SelfAttentionSettings settings_;
  std::shared_ptr<Projection> q_, k_, v_, o_;
  std::shared_ptr<Norm> q_norm_, k_norm_;
};

}  // namespace kinglet::nn
