#include "kinglet/kernels/adamw.h"

#include <algorithm>
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

// What AdamWRange takes, in double.
struct Factors {
  double values[9];

  explicit Factors(const AdamWStep& step)
      : values{step.gradient_scale,
               1.0 - step.lr * step.weight_decay,
               step.beta1,
               1.0 - step.beta1,
               step.beta2,
               1.0 - step.beta2,
               step.lr / (1.0 - std::pow(step.beta1, static_cast<double>(step.step))),
               1.0 / std::sqrt(1.0 - std::pow(step.beta2, static_cast<double>(step.step))),
               step.eps} {}
  void to(float* factors) const {
    for (int i = 0; i < 9; ++i) factors[i] = static_cast<float>(values[i]);
  }
};

}  // namespace

void adamw_update(const AdamWStep& step, std::int64_t n, float* parameter, const float* gradient, float* first_moment,
                  float* second_moment) {
  float factors[9];
  Factors(step).to(factors);
  parallel_ranges(n, kPiece, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(AdamWRange)
    (static_cast<std::size_t>(end - begin), factors, parameter + begin, gradient + begin, first_moment + begin,
     second_moment + begin);
  });
}

void adamw_update_rows(const AdamWStep& step, std::int64_t rows, std::int64_t width, const std::int64_t* row,
                       float* parameter, const float* gradient, float* first_moment, float* second_moment,
                       std::int32_t* last_step) {
  const Factors common(step);
  parallel_ranges(rows, std::max<std::int64_t>(1, kPiece / std::max<std::int64_t>(1, width)),
                  [&](std::int64_t begin, std::int64_t end) {
                    float factors[9];
                    common.to(factors);
                    for (std::int64_t i = begin; i < end; ++i) {
                      std::int32_t& last = last_step[row[i]];
                      const auto waited = static_cast<double>(step.step - last);
                      factors[1] = static_cast<float>(std::pow(common.values[1], waited));
                      last = static_cast<std::int32_t>(step.step);
                      const std::int64_t at = row[i] * width;
                      HWY_DYNAMIC_DISPATCH(AdamWRange)
                      (static_cast<std::size_t>(width), factors, parameter + at, gradient + i * width,
                       first_moment + at, second_moment + at);
                    }
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
