#include "kinglet/kernels/cross_entropy.h"

#include <algorithm>
#include <cassert>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/cross_entropy.cc"
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

// One counted row; returns its loss. The logits become the gradient with_gradient.
float LossOfRow(float* row, std::size_t n, std::size_t label, bool with_gradient) {
  const float chosen = row[label];
  float maximum = 0.0F, sum = 0.0F;
  ExponentialsInPlace(row, n, &maximum, &sum);
  if (with_gradient) {
    ScaleInPlace(row, n, 1.0F / sum);
    row[label] -= 1.0F;
  }
  return __builtin_logf(sum) + maximum - chosen;
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include "kinglet/base/parallel.h"

namespace kinglet {

HWY_EXPORT(LossOfRow);

void cross_entropy_rows(float* logits, const std::int64_t* labels, std::int64_t rows, std::int64_t columns,
                        bool with_gradient, float* losses) {
  constexpr std::int64_t kRows = 8;  // a task
  parallel_ranges(rows, kRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* const row = logits + i * columns;
      if (labels[i] == kIgnoredLabel) {
        losses[i] = 0.0F;
        if (with_gradient) std::fill_n(row, columns, 0.0F);
        continue;
      }
      assert(labels[i] >= 0 && labels[i] < columns);
      losses[i] = HWY_DYNAMIC_DISPATCH(LossOfRow)(row, static_cast<std::size_t>(columns),
                                                  static_cast<std::size_t>(labels[i]), with_gradient);
    }
  });
}

}  // namespace kinglet
#endif  // HWY_ONCE
