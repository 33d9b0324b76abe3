// Which instruction set the kernels use. Chosen at run time by Highway; tests force each level in turn.
// Every kernel of this room gives the same bytes at every level.
#pragma once

#include <string>
#include <vector>

namespace kinglet {

enum class SimdLevel { kScalar, kSse4, kAvx2, kAvx512 };

std::vector<SimdLevel> available_simd_levels();  // what this processor can run, scalar first
void force_simd_level(SimdLevel level);          // for tests and benches; not thread-safe
void reset_simd_level();
std::string simd_level_name();  // the level in use, for `kinglet --version` and bench reports

}  // namespace kinglet
