#include "kinglet/kernels/widened_product.h"

#include <algorithm>
#include <cassert>
#include <vector>

#include "kinglet/base/parallel.h"

namespace kinglet {
namespace {

constexpr std::int64_t kBlockElements = 1 << 20;  // of b at once: 4 MiB in fp32
constexpr std::int64_t kPieceElements = 1 << 15;  // of a conversion, for one thread

// The elements lie in lines: rows, or columns where the row stride is 1.
template <typename Pointer>
bool has_row_lines(const StridedMatrix<Pointer>& matrix) {
  return matrix.column_stride == 1;
}

std::int64_t lines_a_piece(std::int64_t line) {
  return std::max<std::int64_t>(1, kPieceElements / std::max<std::int64_t>(1, line));
}

// The bf16 matrix in fp32, in `buffer`, lines one behind the other.
ConstMatrix widened(const ConstMatrix& matrix, std::vector<float>& buffer) {
  const bool by_rows = has_row_lines(matrix);
  const std::int64_t lines = by_rows ? matrix.rows : matrix.columns;
  const std::int64_t line = by_rows ? matrix.columns : matrix.rows;
  const std::int64_t stride = by_rows ? matrix.row_stride : matrix.column_stride;
  buffer.resize(static_cast<std::size_t>(lines * line));
  parallel_ranges(lines, lines_a_piece(line), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto* from = static_cast<const std::uint16_t*>(matrix.data) + i * stride;
      float* to = buffer.data() + i * line;
      for (std::int64_t j = 0; j < line; ++j) to[j] = bfloat16_to_float(from[j]);
    }
  });
  ConstMatrix result{buffer.data(), DType::kF32, matrix.rows, matrix.columns, line, 1, 0};
  if (!by_rows) std::swap(result.row_stride, result.column_stride);
  return result;
}

template <typename Pointer, typename Element>
StridedMatrix<Pointer> columns_of(StridedMatrix<Pointer> matrix, std::int64_t first, std::int64_t count,
                                  Element* elements) {
  matrix.data = elements + first * matrix.column_stride;
  matrix.columns = count;
  return matrix;
}

// c: bf16; sums: fp32 of the same shape, rows contiguous.
void round_into(const Matrix& c, const std::vector<float>& sums, bool accumulate) {
  parallel_ranges(c.rows, lines_a_piece(c.columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      auto* row = static_cast<std::uint16_t*>(c.data) + i * c.row_stride;
      const float* sum = sums.data() + i * c.columns;
      for (std::int64_t j = 0; j < c.columns; ++j)
        row[j] = float_to_bfloat16(accumulate ? sum[j] + bfloat16_to_float(row[j]) : sum[j]);
    }
  });
}

// One product: c = a b + bias, the columns of b in blocks.
void multiply(const ConstMatrix& a, const ConstMatrix& b, const Matrix& c, const float* bias, bool accumulate) {
  std::vector<float> left, right, sums;
  const ConstMatrix wide_a = widened(a, left);
  const std::int64_t block = std::max<std::int64_t>(64, kBlockElements / std::max<std::int64_t>(1, b.rows));
  for (std::int64_t first = 0; first < b.columns; first += block) {
    const std::int64_t count = std::min(block, b.columns - first);
    const float* part_of_bias = bias == nullptr ? nullptr : bias + first;
    const ConstMatrix wide_b = widened(columns_of(b, first, count, static_cast<const std::uint16_t*>(b.data)), right);
    if (c.dtype == DType::kF32) {
      matmul(wide_a, wide_b, columns_of(c, first, count, static_cast<float*>(c.data)), 1, part_of_bias, accumulate);
      continue;
    }
    sums.resize(static_cast<std::size_t>(c.rows * count));
    matmul(wide_a, wide_b, {sums.data(), DType::kF32, c.rows, count, count, 1, 0}, 1, part_of_bias);
    round_into(columns_of(c, first, count, static_cast<std::uint16_t*>(c.data)), sums, accumulate);
  }
}

}  // namespace

void widened_matmul(const ConstMatrix& a, const ConstMatrix& b, const Matrix& c, std::int64_t batch, const float* bias,
                    bool accumulate) {
  assert(a.dtype == DType::kBF16 && b.dtype == DType::kBF16 && c.column_stride == 1);
  ConstMatrix one_a = a, one_b = b;
  Matrix one_c = c;
  for (std::int64_t i = 0; i < batch; ++i) {
    one_a.data = static_cast<const std::uint16_t*>(a.data) + i * a.batch_stride;
    one_b.data = static_cast<const std::uint16_t*>(b.data) + i * b.batch_stride;
    const std::int64_t bytes = i * c.batch_stride * (c.dtype == DType::kF32 ? 4 : 2);
    one_c.data = static_cast<char*>(c.data) + bytes;
    multiply(one_a, one_b, one_c, bias, accumulate);
  }
}

}  // namespace kinglet
