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

// Chunks are worked on kLanes at a time with their elements side by side: z[i][lane].
constexpr float kLargestSize = 1e4F;

HWY_INLINE void Spread(const float* x, std::size_t bits, std::size_t chunks, float (*z)[kLanes]) {
  for (std::size_t i = 0; i < bits; ++i) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) z[i][lane] = 0.0F;
  }
  for (std::size_t lane = 0; lane < chunks; ++lane) {
    for (std::size_t i = 0; i < bits; ++i) z[i][lane] = x[lane * bits + i];
  }
}

// p[lane] = prod_i 1 / (1 + exp(-factor[lane] |z_i|))
HWY_INLINE void Probabilities(const float (*z)[kLanes], std::size_t bits, const float* factor, float* p) {
  float product[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) product[lane] = 1.0F;
  for (std::size_t i = 0; i < bits; ++i) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      product[lane] *= 1.0F + Exp(-factor[lane] * __builtin_fabsf(z[i][lane]));
    }
  }
  for (std::size_t lane = 0; lane < kLanes; ++lane) p[lane] = 1.0F / product[lane];
}

// The weights of kLanes chunks, and what their gradient needs.
struct Weights {
  float factor[kLanes];  // inverse temperature, twice
  float p[kLanes];
  float weight[kLanes];
};

HWY_INLINE void WeightsOf(const float (*z)[kLanes], std::size_t bits, MemoryScore score, float temperature,
                          Weights* out) {
  for (std::size_t lane = 0; lane < kLanes; ++lane) out->factor[lane] = 2.0F / temperature;
  Probabilities(z, bits, out->factor, out->p);
  if (score == MemoryScore::kAdaptiveTemperature) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) out->factor[lane] = 1.0F / (out->p[lane] * temperature);
    Probabilities(z, bits, out->factor, out->p);
  }
  if (score == MemoryScore::kSumProb) {
    float sum[kLanes] = {};
    for (std::size_t i = 0; i < bits; ++i) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const float size = __builtin_fabsf(z[i][lane]);
        sum[lane] += size < kLargestSize ? size : kLargestSize;
      }
    }
    for (std::size_t lane = 0; lane < kLanes; ++lane) out->weight[lane] = sum[lane] * out->p[lane];
    return;
  }
  const bool constant = score == MemoryScore::kNone;
  for (std::size_t lane = 0; lane < kLanes; ++lane) out->weight[lane] = constant ? 1.0F : out->p[lane];
}

// One token; returns whether an input is NaN.
bool HashToken(const float* x, std::size_t tables, std::size_t bits, MemoryScore score, float temperature,
               std::uint16_t* codes, float* weights) {
  float z[kMostMemoryBits][kLanes];
  Weights found;
  std::int32_t strange = 0;
  for (std::size_t first = 0; first < tables; first += kLanes) {
    const std::size_t chunks = tables - first < kLanes ? tables - first : kLanes;
    Spread(x + first * bits, bits, chunks, z);
    std::int32_t code[kLanes] = {}, unordered[kLanes] = {};
    for (std::size_t i = 0; i < bits; ++i) {
      const std::int32_t bit = 1 << i;
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        code[lane] |= z[i][lane] >= 0.0F ? bit : 0;
        unordered[lane] |= z[i][lane] != z[i][lane] ? 1 : 0;
      }
    }
    WeightsOf(z, bits, score, temperature, &found);
    for (std::size_t lane = 0; lane < chunks; ++lane) {
      codes[first + lane] = static_cast<std::uint16_t>(code[lane]);
      weights[first + lane] = found.weight[lane];
      strange |= unordered[lane];
    }
  }
  return strange != 0;
}

void HashTokenBackward(const float* x, std::size_t tables, std::size_t bits, MemoryScore score, float temperature,
                       const float* grad_weights, float* grad_x) {
  float z[kMostMemoryBits][kLanes], grad[kLanes] = {};
  Weights found;
  const bool with_sum = score == MemoryScore::kSumProb;
  for (std::size_t first = 0; first < tables; first += kLanes) {
    const std::size_t chunks = tables - first < kLanes ? tables - first : kLanes;
    Spread(x + first * bits, bits, chunks, z);
    WeightsOf(z, bits, score, temperature, &found);
    for (std::size_t lane = 0; lane < chunks; ++lane) grad[lane] = grad_weights[first + lane];
    for (std::size_t i = 0; i < bits; ++i) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const float size = __builtin_fabsf(z[i][lane]), decay = Exp(-found.factor[lane] * size);
        const float of_sum = with_sum && size < kLargestSize ? found.p[lane] : 0.0F;
        const float slope = of_sum + found.weight[lane] * found.factor[lane] * decay / (1.0F + decay);
        z[i][lane] = (z[i][lane] >= 0.0F ? grad[lane] : -grad[lane]) * slope;
      }
    }
    for (std::size_t lane = 0; lane < chunks; ++lane) {
      for (std::size_t i = 0; i < bits; ++i) grad_x[(first + lane) * bits + i] = z[i][lane];
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <atomic>

#include "kinglet/base/parallel.h"

namespace kinglet {

HWY_EXPORT(HashToken);
HWY_EXPORT(HashTokenBackward);

namespace {

constexpr std::int64_t kTokens = 16;  // a task

}  // namespace

std::int64_t memory_hash(const MemoryShape& shape, const MemoryWeighting& weighting, std::int64_t tokens,
                         const float* x, std::uint16_t* codes, float* weights) {
  assert(shape.bits >= 1 && shape.bits <= kMostMemoryBits && weighting.temperature > 0);
  std::atomic<std::int64_t> first_strange{tokens};
  parallel_ranges(tokens, kTokens, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const bool strange = HWY_DYNAMIC_DISPATCH(HashToken)(
          x + n * shape.inputs(), static_cast<std::size_t>(shape.tables), static_cast<std::size_t>(shape.bits),
          weighting.score, static_cast<float>(weighting.temperature), codes + n * shape.tables,
          weights + n * shape.tables);
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
    for (std::int64_t n = begin; n < end; ++n) {
      HWY_DYNAMIC_DISPATCH(HashTokenBackward)
      (x + n * inputs, static_cast<std::size_t>(shape.tables), static_cast<std::size_t>(shape.bits), weighting.score,
       static_cast<float>(weighting.temperature), grad_weights + n * shape.tables, grad_x + n * inputs);
    }
  });
}

}  // namespace kinglet
#endif  // HWY_ONCE
