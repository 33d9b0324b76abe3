// The first half of the Memory Layer: signs to rows, sizes to weights, and back.
#include <algorithm>
#include <cassert>

#include "kinglet/kernels/memory_layer.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/memory_hash.cc"
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

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Integers = hn::RebindToSigned<Floats>;
constexpr std::size_t kVector = HWY_LANES(float);
constexpr float kLargestSize = 1e4F;

// Passes over a whole token: the exponentials element by element, then sums and products of chunks, kVector of them at
// a time. Scratch arrays are [inputs], padded with zeros up to whole vectors of chunks.
struct Token {
  const float* x;
  std::size_t tables, bits;
  MemoryScore score;
  float temperature;
  float* decay;   // exp(-factor |x|), with the sign of x (of -0.0: positive)
  float* size;    // |x|, at most kLargestSize
  float* spread;  // a number of each chunk, once an element
  float* p;       // [tables], padded
};

// `of_chunk(table)` for every element of the chunk.
template <class OfChunk>
HWY_INLINE void Spread(const Token& token, float* out, const OfChunk& of_chunk) {
  for (std::size_t table = 0; table < token.tables; ++table) {
    const float value = of_chunk(table);
    for (std::size_t i = 0; i < token.bits; ++i) out[table * token.bits + i] = value;
  }
}

// Whether an input is NaN.
HWY_INLINE bool Decays(const Token& token) {
  const std::size_t n = token.tables * token.bits;
  const float* HWY_RESTRICT x = token.x;
  float* HWY_RESTRICT decay = token.decay;
  const float factor = 2.0F / token.temperature;
  std::int32_t strange = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const float e = Exp(-factor * __builtin_fabsf(x[i]));
    decay[i] = x[i] >= 0.0F ? e : -e;
    strange |= x[i] != x[i] ? 1 : 0;
  }
  return strange != 0;
}

// The same at a temperature of each chunk's own.
HWY_INLINE void DecaysOfFactors(const Token& token) {
  const std::size_t n = token.tables * token.bits;
  const float* HWY_RESTRICT x = token.x;
  const float* HWY_RESTRICT factor = token.spread;
  float* HWY_RESTRICT decay = token.decay;
  for (std::size_t i = 0; i < n; ++i) {
    const float e = Exp(-factor[i] * __builtin_fabsf(x[i]));
    decay[i] = x[i] >= 0.0F ? e : -e;
  }
}

// p and, unless null, the codes.
HWY_INLINE void Probabilities(const Token& token, std::uint16_t* codes) {
  const Floats d;
  const Integers di;
  const auto places = hn::Mul(hn::Iota(di, 0), hn::Set(di, static_cast<std::int32_t>(token.bits)));
  const auto one = hn::Set(d, 1.0F);
  HWY_ALIGN std::int32_t code_of[kVector];
  for (std::size_t first = 0; first < token.tables; first += kVector) {
    auto product = one;
    auto code = hn::Zero(di);
    for (std::size_t i = 0; i < token.bits; ++i) {
      const auto decay = hn::GatherIndex(d, token.decay + first * token.bits + i, places);
      const auto bit = hn::Set(di, 1 << i);
      // The sign bit is spread over the word, and its opposite chooses the bit.
      code = hn::Or(code, hn::AndNot(hn::ShiftRight<31>(hn::BitCast(di, decay)), bit));
      product = hn::Mul(product, hn::Add(one, hn::Abs(decay)));
    }
    hn::StoreU(hn::Div(one, product), d, token.p + first);
    if (codes == nullptr) continue;
    hn::Store(code, di, code_of);
    const std::size_t chunks = token.tables - first < kVector ? token.tables - first : kVector;
    for (std::size_t lane = 0; lane < chunks; ++lane) codes[first + lane] = static_cast<std::uint16_t>(code_of[lane]);
  }
}

// weights[table] = p sum_i |x_i|
HWY_INLINE void SumWeights(const Token& token, float* weights) {
  const Floats d;
  const std::size_t n = token.tables * token.bits;
  for (std::size_t i = 0; i < n; ++i) {
    const float size = __builtin_fabsf(token.x[i]);
    token.size[i] = size < kLargestSize ? size : kLargestSize;
  }
  const Integers di;
  const auto places = hn::Mul(hn::Iota(di, 0), hn::Set(di, static_cast<std::int32_t>(token.bits)));
  HWY_ALIGN float weight_of[kVector];
  for (std::size_t first = 0; first < token.tables; first += kVector) {
    auto sum = hn::Zero(d);
    for (std::size_t i = 0; i < token.bits; ++i) {
      sum = hn::Add(sum, hn::GatherIndex(d, token.size + first * token.bits + i, places));
    }
    hn::Store(hn::Mul(sum, hn::LoadU(d, token.p + first)), d, weight_of);
    const std::size_t chunks = token.tables - first < kVector ? token.tables - first : kVector;
    for (std::size_t lane = 0; lane < chunks; ++lane) weights[first + lane] = weight_of[lane];
  }
}

// Returns whether an input is NaN. codes may be null.
HWY_INLINE bool Hash(const Token& token, std::uint16_t* codes, float* weights) {
  const bool strange = Decays(token);
  Probabilities(token, codes);
  if (token.score == MemoryScore::kAdaptiveTemperature) {
    Spread(token, token.spread, [&](std::size_t table) { return 1.0F / (token.p[table] * token.temperature); });
    DecaysOfFactors(token);
    Probabilities(token, nullptr);
  }
  if (token.score == MemoryScore::kSumProb) {
    SumWeights(token, weights);
  } else if (token.score == MemoryScore::kNone) {
    for (std::size_t table = 0; table < token.tables; ++table) weights[table] = 1.0F;
  } else {
    for (std::size_t table = 0; table < token.tables; ++table) weights[table] = token.p[table];
  }
  return strange;
}

Token OfScratch(const float* x, std::size_t tables, std::size_t bits, MemoryScore score, float temperature,
                float* scratch, std::size_t padded) {
  return {x, tables, bits, score, temperature, scratch, scratch + padded, scratch + 2 * padded, scratch + 3 * padded};
}

// scratch: [4 * padded] zeros at first, padded >= (tables + kVector) * bits
bool HashToken(const float* x, std::size_t tables, std::size_t bits, MemoryScore score, float temperature,
               float* scratch, std::size_t padded, std::uint16_t* codes, float* weights) {
  return Hash(OfScratch(x, tables, bits, score, temperature, scratch, padded), codes, weights);
}

// weights: [tables] scratch
void HashTokenBackward(const float* x, std::size_t tables, std::size_t bits, MemoryScore score, float temperature,
                       float* scratch, std::size_t padded, float* weights, const float* grad_weights, float* grad_x) {
  const Token token = OfScratch(x, tables, bits, score, temperature, scratch, padded);
  Hash(token, nullptr, weights);
  const bool with_sum = score == MemoryScore::kSumProb;
  // The slope of an element is  sign (of its size in the sum + weight factor decay / (1 + decay)).
  const float* HWY_RESTRICT decay = token.decay;
  float* HWY_RESTRICT from_weight = token.spread;
  float* HWY_RESTRICT from_sum = token.size;
  const std::size_t n = tables * bits;
  if (score == MemoryScore::kAdaptiveTemperature) {  // spread holds the factors
    for (std::size_t table = 0; table < tables; ++table) {
      const float value = grad_weights[table] * weights[table];
      for (std::size_t i = 0; i < bits; ++i) from_weight[table * bits + i] *= value;
    }
  } else {
    const float factor = 2.0F / temperature;
    Spread(token, from_weight, [&](std::size_t table) { return grad_weights[table] * weights[table] * factor; });
  }
  if (with_sum) {
    for (std::size_t table = 0; table < tables; ++table) {
      const float value = grad_weights[table] * token.p[table];
      for (std::size_t i = 0; i < bits; ++i) {
        float& size = from_sum[table * bits + i];
        size = size < kLargestSize ? value : 0.0F;
      }
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    const float e = __builtin_fabsf(decay[i]);
    const float slope = (with_sum ? from_sum[i] : 0.0F) + from_weight[i] * e / (1.0F + e);
    grad_x[i] = decay[i] > 0.0F ? slope : -slope;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <atomic>
#include <vector>

#include "kinglet/base/parallel.h"

namespace kinglet {

HWY_EXPORT(HashToken);
HWY_EXPORT(HashTokenBackward);

namespace {

constexpr std::int64_t kTokens = 16;  // a task
constexpr std::size_t kMostLanes = 16;

// What a token needs beside its results; for one task.
class Scratch {
 public:
  explicit Scratch(const MemoryShape& shape)
      : padded_((static_cast<std::size_t>(shape.tables) + kMostLanes) * static_cast<std::size_t>(shape.bits)),
        floats_(4 * padded_, 0.0F),
        weights_(static_cast<std::size_t>(shape.tables)) {}
  float* data() { return floats_.data(); }
  std::size_t padded() const { return padded_; }
  float* weights() { return weights_.data(); }

 private:
  std::size_t padded_;
  std::vector<float> floats_, weights_;
};

}  // namespace

std::int64_t memory_hash(const MemoryShape& shape, const MemoryWeighting& weighting, std::int64_t tokens,
                         const float* x, std::uint16_t* codes, float* weights) {
  assert(shape.bits >= 1 && shape.bits <= kMostMemoryBits && weighting.temperature > 0);
  std::atomic<std::int64_t> first_strange{tokens};
  parallel_ranges(tokens, kTokens, [&](std::int64_t begin, std::int64_t end) {
    Scratch scratch(shape);
    for (std::int64_t n = begin; n < end; ++n) {
      const bool strange = HWY_DYNAMIC_DISPATCH(HashToken)(
          x + n * shape.inputs(), static_cast<std::size_t>(shape.tables), static_cast<std::size_t>(shape.bits),
          weighting.score, static_cast<float>(weighting.temperature), scratch.data(), scratch.padded(),
          codes + n * shape.tables, weights + n * shape.tables);
      std::int64_t least = first_strange.load();
      while (strange && n < least && !first_strange.compare_exchange_weak(least, n)) {
      }
    }
  });
  return first_strange < tokens ? first_strange.load() : -1;
}

void memory_hash_backward(const MemoryShape& shape, const MemoryWeighting& weighting, std::int64_t tokens,
                          const float* x, const float* grad_weights, float* grad_x) {
  const std::int64_t inputs = shape.inputs();
  if (weighting.score == MemoryScore::kNone) {
    std::fill_n(grad_x, tokens * inputs, 0.0F);
    return;
  }
  parallel_ranges(tokens, kTokens, [&](std::int64_t begin, std::int64_t end) {
    Scratch scratch(shape);
    for (std::int64_t n = begin; n < end; ++n) {
      HWY_DYNAMIC_DISPATCH(HashTokenBackward)
      (x + n * inputs, static_cast<std::size_t>(shape.tables), static_cast<std::size_t>(shape.bits), weighting.score,
       static_cast<float>(weighting.temperature), scratch.data(), scratch.padded(), scratch.weights(),
       grad_weights + n * shape.tables, grad_x + n * inputs);
    }
  });
}

}  // namespace kinglet
#endif  // HWY_ONCE
