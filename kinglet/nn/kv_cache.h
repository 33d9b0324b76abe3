// Keys and values of the tokens that a decoder has seen, one pair of tensors a layer.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kinglet/kernels/attention_step.h"

namespace kinglet::nn {

class KvCache {
 public:
  // Room for `capacity` tokens; grows by doubling when more come.
  KvCache(std::int64_t layers, std::int64_t batch, std::int64_t capacity, std::int64_t kv_heads, std::int64_t head_dim);

  // Appends k and v [batch, tokens, kv_heads, head_dim] to a layer; returns all of its keys and values as views
  // [batch, length() + tokens, ...]. Each layer is given once a step; then advance(tokens).
  std::pair<at::Tensor, at::Tensor> append(std::int64_t layer, const at::Tensor& k, const at::Tensor& v);
  void advance(std::int64_t tokens) { length_ += tokens; }

  // The same for one token of row 0, k and v [kv_heads, head_dim] contiguous, without a tensor's costs.
  void append_token(std::int64_t layer, const float* k, const float* v);
  // What a token at position `end` - 1 of a row sees in a layer, with `window` > 0 only the last tokens.
  SeenTokens seen(std::int64_t layer, std::int64_t row, std::int64_t end, std::int64_t window) const;

  // Forgets the tokens behind the first `tokens`.
  void truncate(std::int64_t tokens);
  // Becomes what `other`, of the same layers and one row too, was after its first `tokens`.
  void copy_prefix(const KvCache& other, std::int64_t tokens);

  // Only these rows of the batch stay, in this order. rows: [n] int64.
  void keep(const at::Tensor& rows);

  std::int64_t length() const { return length_; }

 private:
  void reserve(std::int64_t tokens);

  std::vector<at::Tensor> keys_, values_;  // [batch, capacity, kv_heads, head_dim]
  std::int64_t length_ = 0;
};

}  // namespace kinglet::nn
