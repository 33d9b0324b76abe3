// Matrix products at the machine's rate, through oneDNN (AVX2 or AVX-512 in fp32, AVX-512 or AMX in bf16; without
// AVX-512 bf16 operands are widened to fp32 on the way).
//
// Debian's LibTorch multiplies with reference BLAS, some seventy times slower, so every product of the house comes
// here. Compiled primitives are kept, a call on shapes seen before costs a few microseconds.
#pragma once

#include <cstdint>

#include "kinglet/io/dtype.h"

namespace kinglet {

// A strided matrix, or `batch` of them; strides in elements. A transposed matrix is one with its strides exchanged.
// One of row_stride and column_stride must be 1.
template <typename Pointer>
struct StridedMatrix {
  Pointer data = nullptr;
  DType dtype = DType::kF32;  // F32 or BF16
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 1;
  std::int64_t batch_stride = 0;

  StridedMatrix transposed() const { return {data, dtype, columns, rows, column_stride, row_stride, batch_stride}; }
};
using ConstMatrix = StridedMatrix<const void*>;
using Matrix = StridedMatrix<void*>;

// c = a b, + bias to every row when given, + the old c when `accumulate`.
// a: [batch, m, k], b: [batch, k, n], c: [batch, m, n] with rows contiguous, bias: fp32 [n] or null. The dtypes of a
// and b are equal. Sums are fp32 for both dtypes. Empty matrices are allowed; k = 0 gives zero (plus bias).
// Parallel inside, unless called from a parallel region. Wrong arguments are programming mistakes (asserts).
void matmul(const ConstMatrix& a, const ConstMatrix& b, const Matrix& c, std::int64_t batch = 1,
            const float* bias = nullptr, bool accumulate = false);

// Whether bf16 operands are multiplied as they are, and not widened first.
bool multiplies_bfloat16();

// The fp32 product on the calling thread alone: c = alpha op(a) op(b) + beta c.
// Row-major with leading dimensions; for blocks that stay in the cache.
void matmul_block(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
                  const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c,
                  std::int64_t ldc);

}  // namespace kinglet
