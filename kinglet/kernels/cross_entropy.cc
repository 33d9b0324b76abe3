#include "kinglet/kernels/cross_entropy.h"

#include <algorithm>
#include <cassert>
#include <cmath>

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

// row [n] becomes e^(x - maximum); returns the sum.
void ExponentialsOfRow(float* row, std::size_t n, float* maximum, float* sum) {
  const float largest = Maximum(row, n);
  float partial[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float e = Exp(row[i + lane] - largest);
      row[i + lane] = e;
      partial[lane] += e;
    }
  }
  for (; i < n; ++i) {
    row[i] = Exp(row[i] - largest);
    partial[0] += row[i];
  }
  *maximum = largest;
  *sum = Total(partial);
}

void MultiplyRow(float* row, std::size_t n, float factor) {
  for (std::size_t i = 0; i < n; ++i) row[i] *= factor;
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include "kinglet/base/parallel.h"

namespace kinglet {

HWY_EXPORT(ExponentialsOfRow);
HWY_EXPORT(MultiplyRow);

void cross_entropy_rows(float* logits, const std::int64_t* labels, std::int64_t rows, std::int64_t columns,
                        bool with_gradient, float* losses) {
  constexpr std::int64_t kGrain = 8;  // rows a task
  parallel_for((rows + kGrain - 1) / kGrain, [&](std::int64_t task) {
    for (std::int64_t i = task * kGrain; i < std::min(rows, (task + 1) * kGrain); ++i) {
      float* const row = logits + i * columns;
      if (labels[i] == kIgnoredLabel) {
        losses[i] = 0.0F;
        if (with_gradient) std::fill_n(row, columns, 0.0F);
        continue;
      }
      assert(labels[i] >= 0 && labels[i] < columns);
      const float chosen = row[labels[i]];
      float maximum = 0.0F, sum = 0.0F;
      HWY_DYNAMIC_DISPATCH(ExponentialsOfRow)(row, static_cast<std::size_t>(columns), &maximum, &sum);
      losses[i] = std::log(sum) + maximum - chosen;
      if (!with_gradient) continue;
      HWY_DYNAMIC_DISPATCH(MultiplyRow)(row, static_cast<std::size_t>(columns), 1.0F / sum);
      row[labels[i]] -= 1.0F;
    }
  });
}

}  // namespace kinglet
#endif  // HWY_ONCE
