#include "kinglet/kernels/gate.h"

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

constexpr std::int64_t kPiece = 1 << 14;  // elements a task

}  // namespace

void silu_gate_forward(std::int64_t n, const float* gate, const float* up, float* out) {
  parallel_ranges(n, kPiece, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(SiluGate)(static_cast<std::size_t>(end - begin), gate + begin, up + begin, out + begin);
  });
}

void silu_gate_backward(std::int64_t n, const float* gate, const float* up, const float* grad_out, float* grad_gate,
                        float* grad_up) {
  parallel_ranges(n, kPiece, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(SiluGateBackward)
    (static_cast<std::size_t>(end - begin), gate + begin, up + begin, grad_out + begin, grad_gate + begin,
     grad_up + begin);
  });
}

}  // namespace kinglet
#endif  // HWY_ONCE
