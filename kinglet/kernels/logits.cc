#include "kinglet/kernels/logits.h"

#include <algorithm>
#include <cassert>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/logits.cc"
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

float LargestOf(const float* x, std::size_t n) { return Maximum(x, n); }

// Whether any is NaN: a comparison with itself fails.
bool HasNan(const float* x, std::size_t n) {
  std::uint32_t bad = 0;
  for (std::size_t i = 0; i < n; ++i) bad |= static_cast<std::uint32_t>(!(x[i] == x[i]));
  return bad != 0;
}

float WeightsOf(const float* HWY_RESTRICT x, std::size_t n, float largest, float inverse, float* HWY_RESTRICT weights) {
  constexpr float kLeast = 1.7e-38F;  // Exp() stops at e^-87 = 1.65e-38
  float partial[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float e = Exp((x[i + lane] - largest) * inverse);
      const float weight = e < kLeast ? 0.0F : e;
      weights[i + lane] = weight;
      partial[lane] += weight;
    }
  }
  for (; i < n; ++i) {
    const float e = Exp((x[i] - largest) * inverse);
    weights[i] = e < kLeast ? 0.0F : e;
    partial[0] += weights[i];
  }
  return Total(partial);
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace kinglet {

HWY_EXPORT(LargestOf);
HWY_EXPORT(HasNan);
HWY_EXPORT(WeightsOf);

LargestLogit largest_logit(std::span<const float> logits) {
  assert(!logits.empty());
  if (HWY_DYNAMIC_DISPATCH(HasNan)(logits.data(), logits.size())) return {0, true};
  const float largest = HWY_DYNAMIC_DISPATCH(LargestOf)(logits.data(), logits.size());
  const auto found = std::find(logits.begin(), logits.end(), largest);
  // Not found: all are below the smallest finite number, so equal.
  return {found == logits.end() ? 0 : static_cast<std::size_t>(found - logits.begin()), false};
}

double softmax_weights(std::span<const float> logits, float largest, float temperature, std::span<float> weights) {
  assert(logits.size() == weights.size() && temperature > 0);
  constexpr std::size_t kPiece = 4096;  // summed in fp32, the pieces in double
  double sum = 0.0;
  for (std::size_t begin = 0; begin < logits.size(); begin += kPiece) {
    const std::size_t count = std::min(kPiece, logits.size() - begin);
    sum += static_cast<double>(HWY_DYNAMIC_DISPATCH(WeightsOf)(logits.data() + begin, count, largest,
                                                               1.0F / temperature, weights.data() + begin));
  }
  return sum;
}

}  // namespace kinglet
#endif  // HWY_ONCE
