#include "kinglet/kernels/simd.h"

#include <cstdint>

#include <hwy/highway.h>

namespace kinglet {
namespace {

constexpr std::int64_t target_of(SimdLevel level) {
  switch (level) {
    case SimdLevel::kSse4:
      return HWY_SSE4;
    case SimdLevel::kAvx2:
      return HWY_AVX2;
    case SimdLevel::kAvx512:
      return HWY_AVX3;
    case SimdLevel::kScalar:
      break;
  }
  return HWY_SCALAR | HWY_EMU128;  // Highway compiles one of the two
}

constexpr SimdLevel kVectorLevels[] = {SimdLevel::kSse4, SimdLevel::kAvx2, SimdLevel::kAvx512};

}  // namespace

std::vector<SimdLevel> available_simd_levels() {
  std::vector<SimdLevel> levels{SimdLevel::kScalar};
  for (const SimdLevel level : kVectorLevels) {
    if ((hwy::SupportedTargets() & target_of(level)) != 0) levels.push_back(level);
  }
  return levels;
}

void force_simd_level(SimdLevel level) {
  hwy::SetSupportedTargetsForTest(target_of(level));
  hwy::GetChosenTarget().DeInit();
}

void reset_simd_level() {
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
}

std::string simd_level_name() {
  switch (available_simd_levels().back()) {
    case SimdLevel::kSse4:
      return "SSE4";
    case SimdLevel::kAvx2:
      return "AVX2";
    case SimdLevel::kAvx512:
      return "AVX-512";
    case SimdLevel::kScalar:
      break;
  }
  return "scalar";
}

}  // namespace kinglet
