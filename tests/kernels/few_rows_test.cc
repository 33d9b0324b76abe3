#include "kinglet/kernels/few_rows.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "tests/kernels/simd_levels.h"

#include "kinglet/base/rng.h"
#include "kinglet/io/dtype.h"

namespace kinglet {
namespace {

std::size_t unsigned_size(std::int64_t n) { return static_cast<std::size_t>(n); }

std::vector<float> weights_at_random(std::int64_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(unsigned_size(n));
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

// A matrix in one of the kinds, and what its elements are worth.
struct WeightCase {
  WeightCase(WeightKind kind, std::int64_t out, std::int64_t in) {
    exact = weights_at_random(out * in, 7);
    const std::int64_t groups = (in + kInt8Group - 1) / kInt8Group;
    view = {kind, exact.data(), nullptr, out, in};
    if (kind == WeightKind::kBFloat16) {
      for (float& value : exact) {
        halves.push_back(float_to_bfloat16(value));
        value = bfloat16_to_float(halves.back());
      }
      view.values = halves.data();
    }
    if (kind == WeightKind::kInt8) {
      bytes.resize(exact.size());
      scales.resize(unsigned_size(out * groups));
      for (std::int64_t row = 0; row < out; ++row) {
        quantize_int8_row(exact.data() + row * in, in, bytes.data() + row * in, scales.data() + row * groups);
        dequantize_int8_row(bytes.data() + row * in, scales.data() + row * groups, in, exact.data() + row * in);
      }
      view.values = bytes.data();
      view.scales = scales.data();
    }
  }

  std::vector<float> exact;
  std::vector<std::uint16_t> halves;
  std::vector<float> scales;
  std::vector<std::int8_t> bytes;
  WeightMatrix view;
};

constexpr WeightKind kKinds[] = {WeightKind::kFloat32, WeightKind::kBFloat16, WeightKind::kInt8};

TEST(FewRows, EqualsTheSumInDoublePrecision) {
  testing_support::at_every_simd_level([] {
    for (const WeightKind kind : kKinds) {
      for (const auto& [out, in] : {std::pair<std::int64_t, std::int64_t>{1, 1},
                                    {3, 31},
                                    {5, 32},
                                    {37, 100},
                                    {6, 128},
                                    {5, 70},
                                    {70, 257},
                                    {4, 0}}) {
        const WeightCase weights(kind, out, in);
        for (const std::int64_t rows : {1, 2, 3, 4, 7, 8, 13}) {
          const std::vector<float> x = weights_at_random(rows * in, 11), bias = weights_at_random(out, 13);
          std::vector<float> y(unsigned_size(rows * out), -1.0F);
          few_rows_product(weights.view, rows, x.data(), bias.data(), y.data());
          for (std::int64_t r = 0; r < rows; ++r) {
            for (std::int64_t o = 0; o < out; ++o) {
              double sum = bias[unsigned_size(o)], size = std::abs(sum);
              for (std::int64_t i = 0; i < in; ++i) {
                const double term = static_cast<double>(weights.exact[unsigned_size(o * in + i)]) *
                                    static_cast<double>(x[unsigned_size(r * in + i)]);
                sum += term;
                size += std::abs(term);
              }
              ASSERT_NEAR(y[unsigned_size(r * out + o)], sum, 1e-6 * size)
                  << "kind " << static_cast<int>(kind) << " out " << out << " in " << in << " rows " << rows;
            }
          }
        }
      }
    }
  });
}

TEST(FewRows, ARowGetsTheSameBitsAloneAndAmongOthers) {
  testing_support::at_every_simd_level([] {
    for (const WeightKind kind : kKinds) {
      constexpr std::int64_t kOut = 51, kIn = 203, kRows = 15;
      const WeightCase weights(kind, kOut, kIn);
      const std::vector<float> x = weights_at_random(kRows * kIn, 3);
      std::vector<float> together(kRows * kOut), alone(kOut);
      few_rows_product(weights.view, kRows, x.data(), nullptr, together.data());
      for (std::int64_t r = 0; r < kRows; ++r) {
        few_rows_product(weights.view, 1, x.data() + r * kIn, nullptr, alone.data());
        for (std::int64_t o = 0; o < kOut; ++o) {
          ASSERT_EQ(alone[unsigned_size(o)], together[unsigned_size(r * kOut + o)]) << "row " << r;
        }
      }
    }
  });
}

TEST(FewRows, Int8RoundsWithinHalfAStepOfItsGroup) {
  std::vector<float> row = weights_at_random(141, 5);
  row[3] = 40.0F;
  for (std::size_t i = 64; i < 128; ++i) row[i] = 0.0F;
  std::vector<std::int8_t> values(row.size());
  std::vector<float> scales(3);
  std::vector<float> back(row.size());
  quantize_int8_row(row.data(), 141, values.data(), scales.data());
  dequantize_int8_row(values.data(), scales.data(), 141, back.data());
  for (std::size_t i = 0; i < row.size(); ++i) {
    const float step = scales[i / 64];
    EXPECT_LE(std::abs(row[i] - back[i]), 0.5001F * step) << i;
    EXPECT_GE(values[i], -127);
  }
  EXPECT_EQ(scales[1], 0);
  EXPECT_NEAR(scales[0], 40.0F / 127.0F, 1e-6F);
}

}  // namespace
}  // namespace kinglet
