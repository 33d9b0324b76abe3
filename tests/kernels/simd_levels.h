// Runs a test body once at every instruction set of this processor.
#pragma once

#include <functional>

#include <gtest/gtest.h>

#include "kinglet/kernels/simd.h"

namespace kinglet::testing_support {

inline void at_every_simd_level(const std::function<void()>& body) {
  for (const SimdLevel level : available_simd_levels()) {
    SCOPED_TRACE(static_cast<int>(level));
    force_simd_level(level);
    body();
    reset_simd_level();
  }
}

}  // namespace kinglet::testing_support
