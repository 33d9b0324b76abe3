#include "kinglet/nn/kv_cache.h"

#include <algorithm>

#include "kinglet/nn/torch.h"

namespace kinglet::nn {

KvCache::KvCache(std::int64_t layers, std::int64_t batch, std::int64_t capacity, std::int64_t kv_heads,
                 std::int64_t head_dim) {
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    keys_.push_back(at::empty({batch, capacity, kv_heads, head_dim}));
    values_.push_back(at::empty({batch, capacity, kv_heads, head_dim}));
  }
}

std::pair<at::Tensor, at::Tensor> KvCache::append(std::int64_t layer, const at::Tensor& k, const at::Tensor& v) {
  const at::NoGradGuard no_grad;
  const std::int64_t end = length_ + k.size(1);
  reserve(end);
  at::Tensor &keys = keys_.at(static_cast<std::size_t>(layer)), &values = values_.at(static_cast<std::size_t>(layer));
  keys.slice(1, length_, end).copy_(k);
  values.slice(1, length_, end).copy_(v);
  return {keys.slice(1, 0, end), values.slice(1, 0, end)};
}

void KvCache::append_token(std::int64_t layer, const float* k, const float* v) {
  reserve(length_ + 1);
  const auto place = [&](std::vector<at::Tensor>& tensors, const float* from) {
    at::Tensor& tensor = tensors[static_cast<std::size_t>(layer)];
    const std::int64_t elements = tensor.stride(1);
    std::copy_n(from, elements, tensor.data_ptr<float>() + length_ * elements);
  };
  place(keys_, k);
  place(values_, v);
}

SeenTokens KvCache::seen(std::int64_t layer, std::int64_t row, std::int64_t end, std::int64_t window) const {
  const at::Tensor &keys = keys_[static_cast<std::size_t>(layer)], &values = values_[static_cast<std::size_t>(layer)];
  const std::int64_t begin = window > 0 ? std::max<std::int64_t>(0, end - window) : 0;
  return {keys.data_ptr<float>() + row * keys.stride(0),
          values.data_ptr<float>() + row * values.stride(0),
          keys.stride(1),
          keys.stride(2),
          begin,
          end};
}

void KvCache::truncate(std::int64_t tokens) { length_ = std::min(length_, tokens); }

void KvCache::copy_prefix(const KvCache& other, std::int64_t tokens) {
  const at::NoGradGuard no_grad;
  length_ = 0;
  reserve(tokens);
  for (std::size_t layer = 0; layer < keys_.size(); ++layer) {
    keys_[layer].slice(1, 0, tokens).copy_(other.keys_[layer].slice(1, 0, tokens));
    values_[layer].slice(1, 0, tokens).copy_(other.values_[layer].slice(1, 0, tokens));
  }
  length_ = tokens;
}

void KvCache::keep(const at::Tensor& rows) {
  const at::NoGradGuard no_grad;
  for (auto* tensors : {&keys_, &values_}) {
    for (at::Tensor& tensor : *tensors) {
      auto sizes = tensor.sizes().vec();
      sizes[0] = rows.size(0);
      at::Tensor kept = at::empty(sizes);
      kept.slice(1, 0, length_).copy_(tensor.slice(1, 0, length_).index_select(0, rows));
      tensor = kept;
    }
  }
}

void KvCache::reserve(std::int64_t tokens) {
  if (keys_.empty() || tokens <= keys_[0].size(1)) return;
  for (auto* tensors : {&keys_, &values_}) {
    for (at::Tensor& tensor : *tensors) {
      auto sizes = tensor.sizes().vec();
      sizes[1] = std::max(tokens, 2 * sizes[1]);
      at::Tensor larger = at::empty(sizes);
      larger.slice(1, 0, length_).copy_(tensor.slice(1, 0, length_));
      tensor = larger;
    }
  }
}

}  // namespace kinglet::nn
