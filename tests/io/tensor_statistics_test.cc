#include "kinglet/io/tensor_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

using ::testing::ElementsAre;
using Shape = std::vector<std::int64_t>;

template <typename T>
ByteView view(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}
template <typename T>
TensorStatistics statistics(DType dtype, const std::vector<T>& values) {
  const Shape shape = {static_cast<std::int64_t>(values.size())};
  return *tensor_statistics(dtype, view(values), shape, row_major_strides(shape));
}

TEST(TensorStatistics, OfAFewFloats) {
  const auto found = statistics<float>(DType::kF32, {1, -3, 0, -0.0F, 5});
  EXPECT_EQ(found.count, 5U);
  EXPECT_EQ(found.zeros, 2U);
  EXPECT_EQ(found.minimum, -3);
  EXPECT_EQ(found.maximum, 5);
  EXPECT_DOUBLE_EQ(found.mean, 0.6);
  EXPECT_DOUBLE_EQ(found.deviation, std::sqrt((0.16 + 12.96 + 0.36 + 0.36 + 19.36) / 5));
  EXPECT_DOUBLE_EQ(found.zero_fraction(), 0.4);
}

TEST(TensorStatistics, BadValuesAreCountedAndLeftOut) {
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  const auto found = statistics<float>(DType::kF32, {nan, 2, inf, -inf, 4, nan});
  EXPECT_EQ(found.nans, 2U);
  EXPECT_EQ(found.infinities, 2U);
  EXPECT_EQ(found.minimum, 2);
  EXPECT_EQ(found.maximum, 4);
  EXPECT_EQ(found.mean, 3);
  EXPECT_EQ(found.deviation, 1);
  const auto none = statistics<float>(DType::kF32, {nan, inf});
  EXPECT_EQ(none.count, 2U);
  EXPECT_EQ(none.minimum, 0);
  EXPECT_EQ(none.maximum, 0);
  EXPECT_EQ(none.deviation, 0);
}

TEST(TensorStatistics, EveryType) {
  EXPECT_EQ(statistics<double>(DType::kF64, {-1.5}).minimum, -1.5);
  EXPECT_EQ(statistics<std::uint16_t>(DType::kF16, {0x3C00, 0xC000}).mean, -0.5);
  EXPECT_EQ(statistics<std::uint16_t>(DType::kBF16, {0x3F80, 0xC000}).mean, -0.5);
  EXPECT_EQ(statistics<std::int64_t>(DType::kI64, {-7}).maximum, -7);
  EXPECT_EQ(statistics<std::int32_t>(DType::kI32, {-7}).maximum, -7);
  EXPECT_EQ(statistics<std::int16_t>(DType::kI16, {-7}).maximum, -7);
  EXPECT_EQ(statistics<std::int8_t>(DType::kI8, {-7}).maximum, -7);
  EXPECT_EQ(statistics<std::uint64_t>(DType::kU64, {std::uint64_t{1} << 63}).maximum, 0x1p63);
  EXPECT_EQ(statistics<std::uint32_t>(DType::kU32, {0xFFFFFFFF}).maximum, 4294967295.0);
  EXPECT_EQ(statistics<std::uint16_t>(DType::kU16, {0xFFFF}).maximum, 65535);
  EXPECT_EQ(statistics<std::uint8_t>(DType::kU8, {200}).maximum, 200);
  EXPECT_EQ(statistics<std::uint8_t>(DType::kBool, {0, 1, 1, 0}).mean, 0.5);
  const std::vector<float> complex = {1, 2};
  const Shape one = {1};
  EXPECT_FALSE(tensor_statistics(DType::kC64, view(complex), one, one));
  EXPECT_FALSE(tensor_statistics(DType::kC128, {}, Shape{0}, one));
  EXPECT_EQ(tensor_element(DType::kC64, view(complex), one, one, 0), 1);  // the real part
}

// OCP 8-bit floating point: E4M3 has no infinities and reaches 448, E5M2 is the upper half of an IEEE half.
TEST(TensorStatistics, EightBitFloats) {
  const auto e4m3 = [](std::uint8_t bits) { return statistics<std::uint8_t>(DType::kF8E4M3, {bits}); };
  EXPECT_EQ(e4m3(0x38).mean, 1);
  EXPECT_EQ(e4m3(0x7E).mean, 448);
  EXPECT_EQ(e4m3(0xFE).mean, -448);
  EXPECT_EQ(e4m3(0x01).mean, 0x1p-9);
  EXPECT_EQ(e4m3(0x08).mean, 0x1p-6);
  EXPECT_EQ(e4m3(0x7F).nans, 1U);
  EXPECT_EQ(e4m3(0xFF).nans, 1U);
  EXPECT_EQ(e4m3(0x80).zeros, 1U);
  const auto e5m2 = [](std::uint8_t bits) { return statistics<std::uint8_t>(DType::kF8E5M2, {bits}); };
  EXPECT_EQ(e5m2(0x3C).mean, 1);
  EXPECT_EQ(e5m2(0x7B).mean, 57344);
  EXPECT_EQ(e5m2(0x7C).infinities, 1U);
  EXPECT_EQ(e5m2(0x7D).nans, 1U);
  EXPECT_EQ(e5m2(0x01).mean, 0x1p-16);
}

TEST(TensorStatistics, EmptyTensors) {
  const Shape shape = {3, 0};
  const auto found = tensor_statistics(DType::kF32, {}, shape, row_major_strides(shape));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->count, 0U);
  EXPECT_EQ(found->zero_fraction(), 0);
}

TEST(TensorStatistics, ManyBlocksAgreeWithOneLoop) {
  Rng rng(3);
  std::vector<float> values(700'001);  // three blocks, the last one short
  double sum = 0, squares = 0;
  for (float& value : values) {
    value = 1000 + static_cast<float>(rng.normal());  // far from zero: a naive sum of squares would lose digits
    sum += static_cast<double>(value);
  }
  const double mean = sum / static_cast<double>(values.size());
  for (const float value : values) squares += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean);
  values.push_back(std::nanf(""));
  const auto found = statistics<float>(DType::kF32, values);
  EXPECT_EQ(found.nans, 1U);
  EXPECT_NEAR(found.mean, mean, 1e-9);
  EXPECT_NEAR(found.deviation, std::sqrt(squares / 700'001.0), 1e-9);
}

TEST(TensorStatistics, ABlockWithoutFiniteValues) {
  std::vector<float> values(300'000, std::nanf(""));
  for (std::size_t i = 0; i < 262'144; ++i) values[i] = 2;
  EXPECT_EQ(statistics<float>(DType::kF32, values).mean, 2);
  std::reverse(values.begin(), values.end());
  const auto found = statistics<float>(DType::kF32, values);
  EXPECT_EQ(found.mean, 2);
  EXPECT_EQ(found.minimum, 2);
  EXPECT_EQ(found.nans, 37'856U);
}

TEST(TensorStatistics, StridedViews) {
  const std::vector<float> storage = {0, 1, 2, 3, 4, 5};
  const Shape shape = {3, 2}, transposed = {1, 3}, repeated = {0, 1};
  const auto found = tensor_statistics(DType::kF32, view(storage), shape, transposed);
  EXPECT_EQ(found->mean, 2.5);
  std::vector<double> elements;
  for (std::uint64_t i = 0; i < 6; ++i) {
    elements.push_back(tensor_element(DType::kF32, view(storage), shape, transposed, i));
  }
  EXPECT_THAT(elements, ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_EQ(tensor_statistics(DType::kF32, view(storage), shape, repeated)->mean, 0.5);
}

TEST(TensorStatistics, RowMajorStrides) {
  EXPECT_THAT(row_major_strides(Shape{2, 3, 4}), ElementsAre(12, 4, 1));
  EXPECT_THAT(row_major_strides(Shape{2, 0, 4}), ElementsAre(4, 4, 1));
  EXPECT_TRUE(row_major_strides(Shape{}).empty());
}

}  // namespace
}  // namespace kinglet
