#include "kinglet/kernels/attention_step.h"

#include <algorithm>
#include <cassert>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/attention_step.cc"
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

// One head; scores: room for `tokens`.
void Head(const float* query, const float* key, const float* value, std::size_t tokens, std::size_t stride,
          std::size_t dim, float scale, float* scores, float* HWY_RESTRICT out) {
  for (std::size_t t = 0; t < tokens; ++t) scores[t] = scale * Dot(query, key + t * stride, dim);
  float maximum = 0.0F, sum = 0.0F;
  ExponentialsInPlace(scores, tokens, &maximum, &sum);
  for (std::size_t i = 0; i < dim; ++i) out[i] = 0.0F;
  for (std::size_t t = 0; t < tokens; ++t) {
    const float* HWY_RESTRICT row = value + t * stride;
    const float weight = scores[t];
    for (std::size_t i = 0; i < dim; ++i) out[i] += weight * row[i];
  }
  ScaleInPlace(out, dim, 1.0F / sum);
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include "kinglet/base/parallel.h"

namespace kinglet {

HWY_EXPORT(Head);

void attention_step(std::span<const SeenTokens> sequences, std::int64_t heads, std::int64_t kv_heads,
                    std::int64_t head_dim, float scale, const float* query, float* out) {
  assert(kv_heads > 0 && heads % kv_heads == 0);
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  const std::int64_t group = heads / kv_heads;
  const auto one_head = [&](std::int64_t i) {
    thread_local std::vector<float> scores;
    const SeenTokens& seen = sequences[size(i / heads)];
    const std::int64_t kv_head = i % heads / group, tokens = std::max<std::int64_t>(0, seen.end - seen.begin);
    if (tokens == 0) return void(std::fill_n(out + i * head_dim, head_dim, 0.0F));
    if (scores.size() < size(tokens)) scores.resize(size(tokens));
    const std::int64_t at = seen.begin * seen.token_stride + kv_head * seen.head_stride;
    HWY_DYNAMIC_DISPATCH(Head)
    (query + i * head_dim, seen.key + at, seen.value + at, size(tokens), size(seen.token_stride), size(head_dim), scale,
     scores.data(), out + i * head_dim);
  };
  std::int64_t work = 0;
  for (const SeenTokens& seen : sequences) work += (seen.end - seen.begin) * heads * head_dim;
  const std::int64_t tasks = static_cast<std::int64_t>(sequences.size()) * heads;
  constexpr std::int64_t kWorthThreads = 1 << 16;  // below, waking them costs more than they do
  if (work >= kWorthThreads) return parallel_for(tasks, one_head);
  for (std::int64_t i = 0; i < tasks; ++i) one_head(i);
}

}  // namespace kinglet
#endif  // HWY_ONCE
