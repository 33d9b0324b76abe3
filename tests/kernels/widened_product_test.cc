#include "kinglet/kernels/widened_product.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "kinglet/base/rng.h"
#include "kinglet/io/dtype.h"

namespace kinglet {
namespace {

// Matrices [batch, rows, columns] of bf16 numbers whose lines are a little longer than the rows (or the columns).
struct Halves {
  Halves(std::int64_t batch, std::int64_t rows, std::int64_t columns, bool by_rows, std::uint64_t seed) {
    const std::int64_t stride = (by_rows ? columns : rows) + 3;
    const std::int64_t whole = stride * (by_rows ? rows : columns);
    Rng rng(seed);
    values.resize(static_cast<std::size_t>(batch * whole));
    for (std::uint16_t& value : values) value = float_to_bfloat16(static_cast<float>(rng.normal()));
    view = {values.data(), DType::kBF16, rows, columns, by_rows ? stride : 1, by_rows ? 1 : stride, whole};
  }
  double at(std::int64_t b, std::int64_t i, std::int64_t j) const {
    const std::int64_t place = b * view.batch_stride + i * view.row_stride + j * view.column_stride;
    return bfloat16_to_float(values[static_cast<std::size_t>(place)]);
  }

  std::vector<std::uint16_t> values;
  ConstMatrix view;
};

double exact(const Halves& a, const Halves& b, std::int64_t batch, std::int64_t i, std::int64_t j) {
  double sum = 0;
  for (std::int64_t k = 0; k < a.view.columns; ++k) sum += a.at(batch, i, k) * b.at(batch, k, j);
  return sum;
}

TEST(WidenedProduct, EqualsTheSumInDoublePrecisionForEveryLayout) {
  constexpr std::int64_t kBatch = 2, kM = 5, kK = 300, kN = 7;
  for (const bool a_by_rows : {true, false}) {
    for (const bool b_by_rows : {true, false}) {
      const Halves a(kBatch, kM, kK, a_by_rows, 1), b(kBatch, kK, kN, b_by_rows, 2);
      std::vector<float> c(kBatch * kM * kN, 0.5F);
      const std::vector<float> bias = {1, 2, 3, 4, 5, 6, 7};
      const Matrix result{c.data(), DType::kF32, kM, kN, kN, 1, kM * kN};
      for (const bool accumulate : {false, true}) {
        std::fill(c.begin(), c.end(), 0.5F);
        widened_matmul(a.view, b.view, result, kBatch, bias.data(), accumulate);
        for (std::int64_t at = 0; at < kBatch * kM * kN; ++at) {
          const double expected = exact(a, b, at / (kM * kN), at / kN % kM, at % kN) +
                                  bias[static_cast<std::size_t>(at % kN)] + (accumulate ? 0.5 : 0);
          EXPECT_NEAR(c[static_cast<std::size_t>(at)], expected, 1e-3);
        }
      }
    }
  }
}

TEST(WidenedProduct, WorksInBlocksAndRoundsABfloat16ResultOnce) {
  constexpr std::int64_t kM = 3, kK = 9000, kN = 260;  // three blocks of 116 columns
  const Halves a(1, kM, kK, true, 3), b(1, kK, kN, false, 4);
  std::vector<std::uint16_t> c(kM * kN, float_to_bfloat16(2.0F));
  for (const bool accumulate : {true, false}) {
    widened_matmul(a.view, b.view, {c.data(), DType::kBF16, kM, kN, kN, 1, 0}, 1, nullptr, accumulate);
    for (std::int64_t at = 0; at < kM * kN; at += 7) {
      const double expected = exact(a, b, 0, at / kN, at % kN) + (accumulate ? 2.0 : 0.0);
      EXPECT_NEAR(bfloat16_to_float(c[static_cast<std::size_t>(at)]), expected, 0.004 * std::fabs(expected) + 0.01);
    }
  }
}

TEST(WidenedProduct, IsWhatMatmulGivesForBfloat16) {
  const Halves a(1, 33, 65, true, 5), b(1, 65, 17, true, 6);
  std::vector<float> own(33 * 17), general(33 * 17);
  widened_matmul(a.view, b.view, {own.data(), DType::kF32, 33, 17, 17, 1, 0}, 1, nullptr, false);
  matmul(a.view, b.view, {general.data(), DType::kF32, 33, 17, 17, 1, 0});
  for (std::size_t i = 0; i < own.size(); ++i) EXPECT_NEAR(own[i], general[i], 1e-4);
}

}  // namespace
}  // namespace kinglet
