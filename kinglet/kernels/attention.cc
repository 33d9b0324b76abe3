#include "kinglet/kernels/attention.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/attention.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kinglet/kernels/loops.h"
#include "kinglet/kernels/vector_math.h"

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
KINGLET_SCALAR_LOOPS
#endif
namespace kinglet {
namespace HWY_NAMESPACE {

void ExponentialRow(float* scores, std::size_t n, float* maximum, float* sum) {
  ExponentialsInPlace(scores, n, maximum, sum);
}

// scores [n] become probabilities e^(score - log_sum_exp).
void ProbabilityRow(float* scores, std::size_t n, float log_sum_exp) {
  for (std::size_t i = 0; i < n; ++i) scores[i] = Exp(scores[i] - log_sum_exp);
}

// gradient of the scores: probability (grad_probability - delta), in place of grad_probability.
void ScoreGradientRow(float* gradient, const float* probability, std::size_t n, float delta) {
  for (std::size_t i = 0; i < n; ++i) gradient[i] = probability[i] * (gradient[i] - delta);
}

void ScaleRow(float* row, std::size_t n, float factor) { ScaleInPlace(row, n, factor); }

float DotRow(const float* a, const float* b, std::size_t n) { return Dot(a, b, n); }

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include "kinglet/base/parallel.h"
#include "kinglet/kernels/matmul.h"

namespace kinglet {

HWY_EXPORT(ExponentialRow);
HWY_EXPORT(ProbabilityRow);
HWY_EXPORT(ScoreGradientRow);
HWY_EXPORT(ScaleRow);
HWY_EXPORT(DotRow);

namespace {

constexpr std::int64_t kQueryBlock = 64;

struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
};

std::size_t unsigned_size(std::int64_t n) { return static_cast<std::size_t>(n); }

Range visible_keys(const AttentionShape& shape, const AttentionMask& mask, std::int64_t batch, std::int64_t query) {
  const std::int64_t position = shape.keys - shape.queries + query;
  Range range{0, mask.causal ? position + 1 : shape.keys};
  if (mask.window > 0) range.begin = std::max<std::int64_t>(0, position + 1 - mask.window);
  if (mask.first_key != nullptr) {
    range.begin = std::max<std::int64_t>(range.begin, mask.first_key[batch * shape.queries + query]);
  }
  range.begin = std::min(range.begin, range.end);
  return range;
}

// A block of queries of one head, and the keys that any of them sees.
class Block {
 public:
  Block(const AttentionShape& shape, const AttentionMask& mask, std::int64_t batch, std::int64_t number)
      : first_(number * kQueryBlock), rows_(std::min(kQueryBlock, shape.queries - first_)) {
    for (std::int64_t row = 0; row < rows_; ++row) {
      const Range range = visible_keys(shape, mask, batch, first_ + row);
      rows_keys_[unsigned_size(row)] = range;
      if (range.size() == 0) continue;
      keys_ = keys_.size() == 0 ? range : Range{std::min(keys_.begin, range.begin), std::max(keys_.end, range.end)};
    }
  }
  std::int64_t first() const { return first_; }
  std::int64_t rows() const { return rows_; }
  Range keys() const { return keys_; }
  // Columns of the block's scratch area that the row sees.
  Range columns(std::int64_t row) const {
    const Range range = rows_keys_[unsigned_size(row)];
    if (range.size() == 0) return {0, 0};
    return {range.begin - keys_.begin, range.end - keys_.begin};
  }
  // Clears what the row does not see.
  void clear_hidden(std::int64_t row, float* scores) const {
    const Range seen = columns(row);
    std::fill(scores, scores + seen.begin, 0.0F);
    std::fill(scores + seen.end, scores + keys_.size(), 0.0F);
  }

 private:
  std::int64_t first_;
  std::int64_t rows_;
  Range keys_;
  Range rows_keys_[kQueryBlock];
};

float* scratch(std::vector<float>& area, std::int64_t elements) {
  if (area.size() < unsigned_size(elements)) area.resize(unsigned_size(elements));
  return area.data();
}

void forward_block(const AttentionShape& shape, const Block& block, float scale, std::int64_t batch, std::int64_t head,
                   ConstHeads query, ConstHeads key, ConstHeads value, Heads out, float* log_sum_exp) {
  thread_local std::vector<float> area;
  const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const Range keys = block.keys();
  float* const scores = scratch(area, kQueryBlock * keys.size());
  matmul_block(false, true, block.rows(), keys.size(), shape.head_dim, scale, query.at(batch, block.first(), head),
               query.token_stride, key.at(batch, keys.begin, kv_head), key.token_stride, 0.0F, scores, keys.size());
  float inverse[kQueryBlock];
  for (std::int64_t row = 0; row < block.rows(); ++row) {
    const Range seen = block.columns(row);
    float* const line = scores + row * keys.size();
    float maximum = 0.0F, sum = 0.0F;
    if (seen.size() > 0) {
      HWY_DYNAMIC_DISPATCH(ExponentialRow)(line + seen.begin, unsigned_size(seen.size()), &maximum, &sum);
    }
    block.clear_hidden(row, line);
    inverse[row] = seen.size() > 0 ? 1.0F / sum : 0.0F;
    if (log_sum_exp != nullptr) {
      log_sum_exp[(batch * shape.heads + head) * shape.queries + block.first() + row] =
          seen.size() > 0 ? maximum + std::log(sum) : -std::numeric_limits<float>::infinity();
    }
  }
  float* const result = out.at(batch, block.first(), head);
  matmul_block(false, false, block.rows(), shape.head_dim, keys.size(), 1.0F, scores, keys.size(),
               value.at(batch, keys.begin, kv_head), value.token_stride, 0.0F, result, out.token_stride);
  for (std::int64_t row = 0; row < block.rows(); ++row) {
    HWY_DYNAMIC_DISPATCH(ScaleRow)(result + row * out.token_stride, unsigned_size(shape.head_dim), inverse[row]);
  }
}

void clear(Heads heads, const AttentionShape& shape, std::int64_t batch, std::int64_t head, std::int64_t tokens) {
  for (std::int64_t token = 0; token < tokens; ++token) std::fill_n(heads.at(batch, token, head), shape.head_dim, 0.0F);
}

struct Backward {
  const AttentionShape& shape;
  float scale;
  ConstHeads query, key, value, out;
  const float* log_sum_exp;
  ConstHeads grad_out;
  Heads grad_query, grad_key, grad_value;

  void run(const Block& block, std::int64_t batch, std::int64_t head) const {
    thread_local std::vector<float> area, gradient_area;
    const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
    const Range keys = block.keys();
    const std::int64_t rows = block.rows(), columns = keys.size(), dim = shape.head_dim, first = block.first();
    float* const probability = scratch(area, kQueryBlock * columns);
    float* const gradient = scratch(gradient_area, kQueryBlock * columns);
    matmul_block(false, true, rows, columns, dim, scale, query.at(batch, first, head), query.token_stride,
                 key.at(batch, keys.begin, kv_head), key.token_stride, 0.0F, probability, columns);
    matmul_block(false, true, rows, columns, dim, 1.0F, grad_out.at(batch, first, head), grad_out.token_stride,
                 value.at(batch, keys.begin, kv_head), value.token_stride, 0.0F, gradient, columns);
    for (std::int64_t row = 0; row < rows; ++row) score_gradient(block, batch, head, row, probability, gradient);
    matmul_block(true, false, columns, dim, rows, 1.0F, probability, columns, grad_out.at(batch, first, head),
                 grad_out.token_stride, 1.0F, grad_value.at(batch, keys.begin, kv_head), grad_value.token_stride);
    matmul_block(true, false, columns, dim, rows, scale, gradient, columns, query.at(batch, first, head),
                 query.token_stride, 1.0F, grad_key.at(batch, keys.begin, kv_head), grad_key.token_stride);
    matmul_block(false, false, rows, dim, columns, scale, gradient, columns, key.at(batch, keys.begin, kv_head),
                 key.token_stride, 0.0F, grad_query.at(batch, first, head), grad_query.token_stride);
  }

  void score_gradient(const Block& block, std::int64_t batch, std::int64_t head, std::int64_t row, float* probability,
                      float* gradient) const {
    const std::int64_t token = block.first() + row;
    const Range seen = block.columns(row);
    float* const line = probability + row * block.keys().size();
    float* const slope = gradient + row * block.keys().size();
    if (seen.size() > 0) {
      const float delta = HWY_DYNAMIC_DISPATCH(DotRow)(grad_out.at(batch, token, head), out.at(batch, token, head),
                                                       unsigned_size(shape.head_dim));
      HWY_DYNAMIC_DISPATCH(ProbabilityRow)
      (line + seen.begin, unsigned_size(seen.size()),
       log_sum_exp[(batch * shape.heads + head) * shape.queries + token]);
      HWY_DYNAMIC_DISPATCH(ScoreGradientRow)
      (slope + seen.begin, line + seen.begin, unsigned_size(seen.size()), delta);
    }
    block.clear_hidden(row, line);
    block.clear_hidden(row, slope);
  }
};

void check(const AttentionShape& shape, const AttentionMask& mask) {
  assert(shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0);
  assert(!mask.causal || shape.keys >= shape.queries);
  assert(mask.causal || mask.window == 0);
  (void)shape, (void)mask;
}

}  // namespace

void attention_forward(const AttentionShape& shape, const AttentionMask& mask, float scale, ConstHeads query,
                       ConstHeads key, ConstHeads value, Heads out, float* log_sum_exp) {
  check(shape, mask);
  const std::int64_t blocks = (shape.queries + kQueryBlock - 1) / kQueryBlock;
  parallel_for(shape.batch * shape.heads * blocks, [&](std::int64_t i) {
    const std::int64_t batch = i / blocks / shape.heads, head = i / blocks % shape.heads;
    const Block block(shape, mask, batch, i % blocks);
    if (block.keys().size() > 0) {
      forward_block(shape, block, scale, batch, head, query, key, value, out, log_sum_exp);
      return;
    }
    for (std::int64_t row = 0; row < block.rows(); ++row) {
      const std::int64_t token = block.first() + row;
      std::fill_n(out.at(batch, token, head), shape.head_dim, 0.0F);
      if (log_sum_exp == nullptr) continue;
      log_sum_exp[(batch * shape.heads + head) * shape.queries + token] = -std::numeric_limits<float>::infinity();
    }
  });
}

void attention_backward(const AttentionShape& shape, const AttentionMask& mask, float scale, ConstHeads query,
                        ConstHeads key, ConstHeads value, ConstHeads out, const float* log_sum_exp, ConstHeads grad_out,
                        Heads grad_query, Heads grad_key, Heads grad_value) {
  check(shape, mask);
  const Backward backward{shape,       scale,    query,      key,      value,     out,
                          log_sum_exp, grad_out, grad_query, grad_key, grad_value};
  const std::int64_t group = shape.heads / shape.kv_heads;
  const std::int64_t blocks = (shape.queries + kQueryBlock - 1) / kQueryBlock;
  // A key head's gradient is the sum over its group of query heads, so one thread takes the whole group.
  parallel_for(shape.batch * shape.kv_heads, [&](std::int64_t i) {
    const std::int64_t batch = i / shape.kv_heads, kv_head = i % shape.kv_heads;
    clear(grad_key, shape, batch, kv_head, shape.keys);
    clear(grad_value, shape, batch, kv_head, shape.keys);
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      for (std::int64_t number = 0; number < blocks; ++number) {
        const Block block(shape, mask, batch, number);
        if (block.keys().size() > 0) {
          backward.run(block, batch, head);
          continue;
        }
        for (std::int64_t row = 0; row < block.rows(); ++row) {
          std::fill_n(grad_query.at(batch, block.first() + row, head), shape.head_dim, 0.0F);
        }
      }
    }
  });
}

}  // namespace kinglet
#endif  // HWY_ONCE
