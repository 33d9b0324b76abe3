#include "kinglet/kernels/norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/norm.cc"
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

float SquareSum(const float* x, std::size_t n) { return Dot(x, x, n); }

void ScaleByWeight(const float* HWY_RESTRICT x, const float* HWY_RESTRICT weight, std::size_t n, float factor,
                   float offset, float* HWY_RESTRICT out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = x[i] * factor * (offset + weight[i]);
}

// Adds the row's part to grad_weight and writes grad_x.
//   y = x r w,  r = (mean(x^2) + eps)^(-1/2):  dx = r (g w) - x r^3 / n sum(g w x),  dw = g x r
void BackwardRow(const float* HWY_RESTRICT x, const float* HWY_RESTRICT weight, const float* HWY_RESTRICT grad,
                 std::size_t n, float inverse, float offset, float* HWY_RESTRICT grad_x,
                 float* HWY_RESTRICT grad_weight) {
  float partial[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float slope = grad[i + lane] * (offset + weight[i + lane]);
      grad_x[i + lane] = slope;
      partial[lane] += slope * x[i + lane];
    }
  }
  for (; i < n; ++i) {
    grad_x[i] = grad[i] * (offset + weight[i]);
    partial[0] += grad_x[i] * x[i];
  }
  const float shared = Total(partial) * inverse * inverse * inverse / static_cast<float>(n);
  for (i = 0; i < n; ++i) {
    grad_weight[i] += grad[i] * x[i] * inverse;
    grad_x[i] = grad_x[i] * inverse - x[i] * shared;
  }
}

void AddRow(const float* HWY_RESTRICT x, std::size_t n, float* HWY_RESTRICT sum) {
  for (std::size_t i = 0; i < n; ++i) sum[i] += x[i];
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include "kinglet/base/parallel.h"

namespace kinglet {

HWY_EXPORT(SquareSum);
HWY_EXPORT(ScaleByWeight);
HWY_EXPORT(BackwardRow);
HWY_EXPORT(AddRow);

namespace {

constexpr std::int64_t kRows = 64;  // a task: also the pieces in which grad_weight is summed

}  // namespace

void rms_norm_forward(std::int64_t rows, std::int64_t dim, double eps, float offset, const float* x,
                      const float* weight, float* out, float* inverse) {
  const auto n = static_cast<std::size_t>(dim);
  parallel_ranges(rows, kRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const double mean =
          static_cast<double>(HWY_DYNAMIC_DISPATCH(SquareSum)(x + row * dim, n)) / static_cast<double>(dim);
      const auto factor = static_cast<float>(1.0 / std::sqrt(mean + eps));
      if (inverse != nullptr) inverse[row] = factor;
      HWY_DYNAMIC_DISPATCH(ScaleByWeight)(x + row * dim, weight, n, factor, offset, out + row * dim);
    }
  });
}

void rms_norm_backward(std::int64_t rows, std::int64_t dim, float offset, const float* x, const float* weight,
                       const float* inverse, const float* grad_out, float* grad_x, float* grad_weight) {
  const auto n = static_cast<std::size_t>(dim);
  const std::int64_t pieces = (rows + kRows - 1) / kRows;
  std::vector<float> partial(static_cast<std::size_t>(pieces) * n, 0.0F);
  parallel_ranges(rows, kRows, [&](std::int64_t begin, std::int64_t end) {
    float* const sums = partial.data() + static_cast<std::size_t>(begin / kRows) * n;
    for (std::int64_t row = begin; row < end; ++row) {
      HWY_DYNAMIC_DISPATCH(BackwardRow)
      (x + row * dim, weight, grad_out + row * dim, n, inverse[row], offset, grad_x + row * dim, sums);
    }
  });
  std::fill_n(grad_weight, n, 0.0F);
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    HWY_DYNAMIC_DISPATCH(AddRow)(partial.data() + static_cast<std::size_t>(piece) * n, n, grad_weight);
  }
}

}  // namespace kinglet
#endif  // HWY_ONCE
