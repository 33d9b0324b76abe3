// softmax(q k^T scale + mask) v through the kernel of kernels/attention.h, with autograd.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace kinglet::nn {

struct SoftmaxMask {
  bool causal = true;
  std::int64_t window = 0;  // > 0: a query sees only the last `window` keys, itself among them
  at::Tensor first_key;     // [batch, queries] int32 or undefined: keys before it are hidden
};

// q: [batch, queries, heads, head_dim], k and v: [batch, keys, kv_heads, head_dim], all fp32 with contiguous head_dim;
// with causal, query i stands at key position keys - queries + i. Returns [batch, queries, heads, head_dim].
// A query that sees no key gets zeros.
at::Tensor softmax_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const SoftmaxMask& mask,
                             double scale);

}  // namespace kinglet::nn
