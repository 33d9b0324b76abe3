// Softmax attention without the [queries, keys] matrix in memory, forward and backward, fp32.
//
// A block of queries meets all its keys in a scratch area that stays in the cache; what is masked is not computed
// (causal, sliding window, left padding, packed documents are all ranges of keys). The backward pass computes the
// probabilities again from the log-sum-exp (Dao et al. 2022, "FlashAttention", section 3.1, for one level of cache).
#pragma once

#include <cstdint>

namespace kinglet {

// A view of [batch, tokens, heads, head_dim] with contiguous head_dim; strides in elements.
template <typename Pointer>
struct HeadsView {
  Pointer data = nullptr;
  std::int64_t batch_stride = 0;
  std::int64_t token_stride = 0;
  std::int64_t head_stride = 0;

  Pointer at(std::int64_t batch, std::int64_t token, std::int64_t head) const {
    return data + batch * batch_stride + token * token_stride + head * head_stride;
  }
};
using ConstHeads = HeadsView<const float*>;
using Heads = HeadsView<float*>;

struct AttentionShape {
  std::int64_t batch = 0;
  std::int64_t heads = 0;     // of the queries
  std::int64_t kv_heads = 0;  // divides heads; head h reads key head h / (heads / kv_heads)
  std::int64_t queries = 0;
  std::int64_t keys = 0;  // with causal: >= queries; the last query sees the last key
  std::int64_t head_dim = 0;
};

struct AttentionMask {
  bool causal = true;       // query i, at position p = keys - queries + i, sees keys up to p; else all keys
  std::int64_t window = 0;  // > 0: only the last `window` keys up to p
  // [batch, queries] or null: keys below are hidden from that query (padding on the left, an earlier document).
  const std::int32_t* first_key = nullptr;
};

// out: [batch, queries, heads, head_dim]; log_sum_exp: [batch, heads, queries], may be null where no gradient follows.
// A query that sees no key gets zeros and log_sum_exp = -inf.
void attention_forward(const AttentionShape& shape, const AttentionMask& mask, float scale, ConstHeads query,
                       ConstHeads key, ConstHeads value, Heads out, float* log_sum_exp);

// The gradients of the three inputs, overwritten. The order of all sums is fixed.
void attention_backward(const AttentionShape& shape, const AttentionMask& mask, float scale, ConstHeads query,
                        ConstHeads key, ConstHeads value, ConstHeads out, const float* log_sum_exp, ConstHeads grad_out,
                        Heads grad_query, Heads grad_key, Heads grad_value);

}  // namespace kinglet
