#include "kinglet/kernels/gate.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/gate.cc"
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

void SiluGate(std::size_t n, const float* HWY_RESTRICT gate, const float* HWY_RESTRICT up, float* HWY_RESTRICT out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = gate[i] / (1.0F + Exp(-gate[i])) * up[i];
}

void SiluGateBackward(std::size_t n, const float* HWY_RESTRICT gate, const float* HWY_RESTRICT up,
                      const float* HWY_RESTRICT grad, float* HWY_RESTRICT grad_gate, float* HWY_RESTRICT grad_up) {
  for (std::size_t i = 0; i < n; ++i) {
    const float sigmoid = 1.0F / (1.0F + Exp(-gate[i]));
    const float silu = gate[i] * sigmoid;
    grad_up[i] = grad[i] * silu;
    grad_gate[i] = grad[i] * up[i] * (sigmoid + silu * (1.0F - sigmoid));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include "kinglet/base/parallel.h"

namespace kinglet {

HWY_EXPORT(SiluGate);
HWY_EXPORT(SiluGateBackward);

namespace {

constexpr std::int64_t kRange = 1 << 14;  // elements a task

std::int64_t ranges(std::int64_t n) { return (n + kRange - 1) / kRange; }

}  // namespace

void silu_gate_forward(std::int64_t n, const float* gate, const float* up, float* out) {
  parallel_for(ranges(n), [&](std::int64_t task) {
    const std::int64_t at = task * kRange;
    HWY_DYNAMIC_DISPATCH(SiluGate)(static_cast<std::size_t>(std::min(kRange, n - at)), gate + at, up + at, out + at);
  });
}

void silu_gate_backward(std::int64_t n, const float* gate, const float* up, const float* grad_out, float* grad_gate,
                        float* grad_up) {
  parallel_for(ranges(n), [&](std::int64_t task) {
    const std::int64_t at = task * kRange;
    HWY_DYNAMIC_DISPATCH(SiluGateBackward)
    (static_cast<std::size_t>(std::min(kRange, n - at)), gate + at, up + at, grad_out + at, grad_gate + at,
     grad_up + at);
  });
}

}  // namespace kinglet
#endif  // HWY_ONCE
