// Softmax attention of one new token a sequence: what decoding costs beside the weights.
//
// Every sequence has keys and values of its own, of its own length. The sums of a head depend on its sequence alone, so
// that a token gets the same bits alone and in a batch.
#pragma once

#include <cstdint>
#include <span>

namespace kinglet {

// The keys and values that a sequence's token sees: tokens [begin, end) of [tokens, kv_heads, head_dim].
struct SeenTokens {
  const float* key = nullptr;
  const float* value = nullptr;
  std::int64_t token_stride = 0;  // elements
  std::int64_t head_stride = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// query, out: [sequences, heads, head_dim]; head h reads key head h / (heads / kv_heads). A sequence that sees nothing
// gets zeros.
void attention_step(std::span<const SeenTokens> sequences, std::int64_t heads, std::int64_t kv_heads,
                    std::int64_t head_dim, float scale, const float* query, float* out);

}  // namespace kinglet
