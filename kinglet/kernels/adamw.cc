#include "kinglet/kernels/adamw.h"

#include <cmath>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/adamw.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kinglet/kernels/loops.h"

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
KINGLET_SCALAR_LOOPS
#endif
namespace kinglet {
namespace HWY_NAMESPACE {

// factors: gradient scale, decay factor, beta1, 1 - beta1, beta2, 1 - beta2, step size, 1 / sqrt(bias correction 2),
// eps
void AdamWRange(std::size_t n, const float* HWY_RESTRICT factors, float* HWY_RESTRICT parameter,
                const float* HWY_RESTRICT gradient, float* HWY_RESTRICT first, float* HWY_RESTRICT second) {
  const float scale = factors[0], keep = factors[1], beta1 = factors[2], rest1 = factors[3], beta2 = factors[4];
  const float rest2 = factors[5], step_size = factors[6], correction = factors[7], eps = factors[8];
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gradient[i] * scale;
    const float m = first[i] * beta1 + g * rest1;
    const float v = second[i] * beta2 + g * g * rest2;
    first[i] = m;
    second[i] = v;
    parameter[i] = parameter[i] * keep - step_size * m / (__builtin_sqrtf(v) * correction + eps);
  }
}

void SquaresOfRange(const float* x, std::size_t n, double* sum) {
  double partial[16] = {};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (std::size_t lane = 0; lane < 16; ++lane) {
      const double value = static_cast<double>(x[i + lane]);
      partial[lane] += value * value;
    }
  }
  for (; i < n; ++i) partial[0] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  for (std::size_t width = 8; width > 0; width /= 2) {
    for (std::size_t lane = 0; lane < width; ++lane) partial[lane] += partial[lane + width];
  }
  *sum = partial[0];
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include "kinglet/base/parallel.h"

namespace kinglet {

HWY_EXPORT(AdamWRange);
HWY_EXPORT(SquaresOfRange);

namespace {

constexpr std::int64_t kPiece = 1 << 14;  // elements a task

}  // namespace

void adamw_update(const AdamWStep& step, std::int64_t n, float* parameter, const float* gradient, float* first_moment,
                  float* second_moment) {
  const double correction1 = 1.0 - std::pow(step.beta1, static_cast<double>(step.step));
  const double correction2 = 1.0 - std::pow(step.beta2, static_cast<double>(step.step));
  const double values[9] = {step.gradient_scale,
                            1.0 - step.lr * step.weight_decay,
                            step.beta1,
                            1.0 - step.beta1,
                            step.beta2,
                            1.0 - step.beta2,
                            step.lr / correction1,
                            1.0 / std::sqrt(correction2),
                            step.eps};
  float factors[9];
  for (int i = 0; i < 9; ++i) factors[i] = static_cast<float>(values[i]);
  parallel_ranges(n, kPiece, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(AdamWRange)
    (static_cast<std::size_t>(end - begin), factors, parameter + begin, gradient + begin, first_moment + begin,
     second_moment + begin);
  });
}

double sum_of_squares(const float* x, std::int64_t n) {
  std::vector<double> sums(static_cast<std::size_t>((n + kPiece - 1) / kPiece));
  parallel_ranges(n, kPiece, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(SquaresOfRange)
    (x + begin, static_cast<std::size_t>(end - begin), &sums[static_cast<std::size_t>(begin / kPiece)]);
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace kinglet
#endif  // HWY_ONCE
