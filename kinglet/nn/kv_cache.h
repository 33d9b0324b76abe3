// Keys and values of the tokens that a decoder has seen, one pair of tensors a layer.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace kinglet::nn {

class KvCache {
 public:
  // Room for `capacity` tokens; grows by doubling when more come.
  KvCache(std::int64_t layers, std::int64_t batch, std::int64_t capacity, std::int64_t kv_heads, std::int64_t head_dim);

  // Appends k and v [batch, tokens, kv_heads, head_dim] to a layer; returns all of its keys and values as views
  // [batch, length() + tokens, ...]. Each layer is given once a step; then advance(tokens).
  std::pair<at::Tensor, at::Tensor> append(std::int64_t layer, const at::Tensor& k, const at::Tensor& v);
  void advance(std::int64_t tokens) { length_ += tokens; }

  // Only these rows of the batch stay, in this order. rows: [n] int64.
  void keep(const at::Tensor& rows);

  std::int64_t length() const { return length_; }

 private:
  void reserve(std::int64_t tokens);

  std::vector<at::Tensor> keys_, values_;  // [batch, capacity, kv_heads, head_dim]
  std::int64_t length_ = 0;
};

}  // namespace kinglet::nn
