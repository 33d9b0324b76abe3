#include "kinglet/kernels/int8_product.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "kinglet/base/rng.h"
#include "kinglet/kernels/matmul.h"

namespace kinglet {
namespace {

struct RoundedMatrix {
  RoundedMatrix(std::int64_t out, std::int64_t in, std::uint64_t seed) {
    const std::int64_t groups = (in + kInt8Group - 1) / kInt8Group;
    values.resize(static_cast<std::size_t>(out * in));
    scales.resize(static_cast<std::size_t>(out * groups));
    weights.resize(values.size());
    Rng rng(seed);
    std::vector<float> row(static_cast<std::size_t>(in));
    for (std::int64_t line = 0; line < out; ++line) {
      for (float& value : row) value = static_cast<float>(rng.normal());
      quantize_int8_row(row.data(), in, values.data() + line * in, scales.data() + line * groups);
      dequantize_int8_row(values.data() + line * in, scales.data() + line * groups, in, weights.data() + line * in);
    }
    view = {WeightKind::kInt8, values.data(), scales.data(), out, in};
  }

  std::vector<std::int8_t> values;
  std::vector<float> scales;
  std::vector<float> weights;  // [out, in], what the values stand for
  WeightMatrix view;
};

// One block, several with a shorter last one, lines longer than a piece, groups that are not full.
TEST(Int8Product, EqualsTheSumInDoublePrecision) {
  struct Size {
    std::int64_t out, in;
  };
  for (const Size size : {Size{1, 1}, Size{70, 100}, Size{2300, 1000}, Size{130, 40'001}}) {
    const RoundedMatrix matrix(size.out, size.in, 7);
    constexpr std::int64_t kRows = 19;
    std::vector<float> x(static_cast<std::size_t>(kRows * size.in)), bias(static_cast<std::size_t>(size.out));
    Rng rng(8);
    for (float& value : x) value = static_cast<float>(rng.normal());
    for (float& value : bias) value = static_cast<float>(rng.normal());
    std::vector<float> y(static_cast<std::size_t>(kRows * size.out), NAN), without = y;
    int8_product(matrix.view, kRows, x.data(), bias.data(), y.data());
    int8_product(matrix.view, kRows, x.data(), nullptr, without.data());
    // Two operands of bf16 are off by 2^-9 of a product of about 1 each, in both directions.
    const double allowed = (multiplies_bfloat16() ? 0.02 : 1e-5) * std::sqrt(static_cast<double>(size.in)) + 1e-5;
    for (std::int64_t row = 0; row < kRows; ++row) {
      for (std::int64_t line = 0; line < size.out; line += 1 + size.out / 50) {
        double sum = 0;
        for (std::int64_t i = 0; i < size.in; ++i) {
          sum += static_cast<double>(x[static_cast<std::size_t>(row * size.in + i)]) *
                 static_cast<double>(matrix.weights[static_cast<std::size_t>(line * size.in + i)]);
        }
        const auto at = static_cast<std::size_t>(row * size.out + line);
        ASSERT_NEAR(without[at], sum, allowed) << size.out << " x " << size.in;
        ASSERT_NEAR(y[at], sum + static_cast<double>(bias[static_cast<std::size_t>(line)]), allowed);
      }
    }
  }
}

}  // namespace
}  // namespace kinglet
