// Products of bf16 matrices on processors for which oneDNN has none (x86 without AVX-512): operands are widened to
// fp32, block by block, and multiplied as such.
#pragma once

#include <cstdint>

#include "kinglet/kernels/matmul.h"

namespace kinglet {

// As matmul() (matmul.h) for bf16 a and b, on any processor. Sums are fp32; a bf16 c is rounded once at the end.
void widened_matmul(const ConstMatrix& a, const ConstMatrix& b, const Matrix& c, std::int64_t batch, const float* bias,
                    bool accumulate);

}  // namespace kinglet
