#include "kinglet/io/number_array.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

using ::testing::ElementsAreArray;

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kF64};

TEST(NumberArray, HoldsFourTypes) {
  for (int i = 0; i <= static_cast<int>(DType::kC128); ++i) {
    const auto dtype = static_cast<DType>(i);
    const bool known = std::find(std::begin(kTypes), std::end(kTypes), dtype) != std::end(kTypes);
    EXPECT_EQ(is_number_array(dtype), known) << dtype_name(dtype);
  }
}

// Small integers are exact in every type: what was stored comes back, from any element on, at any alignment.
TEST(NumberArray, StoresAndLoadsEveryType) {
  std::vector<float> values(1000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 256) - 128;
  for (const DType dtype : kTypes) {
    for (const std::size_t shift : {0, 1, 3}) {
      Bytes bytes(values.size() * item_size(dtype) + shift);
      store_f32(values.data(), values.size(), dtype, bytes.data() + shift);
      const NumberArray array{dtype, ByteView(bytes).subspan(shift)};
      ASSERT_EQ(array.size(), values.size());
      std::vector<float> loaded(500), scratch(500);
      load_f32(array, 300, 500, loaded.data());
      EXPECT_THAT(loaded, ElementsAreArray(values.begin() + 300, values.begin() + 800)) << dtype_name(dtype);
      const float* view = view_f32(array, 300, 500, scratch.data());
      EXPECT_TRUE(std::equal(view, view + 500, values.begin() + 300)) << dtype_name(dtype) << shift;
    }
  }
}

TEST(NumberArray, AlignedFloatsAreNotCopied) {
  const std::vector<float> values = {1, 2, 3};
  const NumberArray array{DType::kF32, std::as_bytes(std::span(values))};
  float scratch[2] = {};
  EXPECT_EQ(view_f32(array, 1, 2, scratch), values.data() + 1);
  Bytes shifted(13);
  store_f32(values.data(), 3, DType::kF32, shifted.data() + 1);
  EXPECT_EQ(view_f32({DType::kF32, ByteView(shifted).subspan(1)}, 1, 2, scratch), scratch);
  EXPECT_EQ(scratch[0], 2);
}

TEST(NumberArray, RoundsToNearestEven) {
  const std::vector<float> values = {1.0F + 0x1p-11F, 1.0F + 0x3p-11F, 70000.0F,
                                     std::numeric_limits<float>::quiet_NaN()};
  Bytes half(8);
  store_f32(values.data(), 4, DType::kF16, half.data());
  std::vector<float> back(4);
  load_f32({DType::kF16, half}, 0, 4, back.data());
  EXPECT_EQ(back[0], 1.0F);
  EXPECT_EQ(back[1], 1.0F + 0x2p-10F);
  EXPECT_EQ(back[2], std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(back[3]));
}

TEST(NumberArray, DoublesRoundToTheNearestFloatAndFloatsAreExactDoubles) {
  Rng rng(1);
  std::vector<double> doubles(100);
  for (double& value : doubles) value = rng.normal();
  std::vector<float> loaded(100);
  load_f32({DType::kF64, std::as_bytes(std::span(doubles))}, 0, 100, loaded.data());
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(loaded[i], static_cast<float>(doubles[i]));
  std::vector<double> stored(100);
  store_f32(loaded.data(), 100, DType::kF64, reinterpret_cast<std::byte*>(stored.data()));
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(stored[i], static_cast<double>(loaded[i]));
}

TEST(NumberArray, EmptyRange) {
  EXPECT_EQ((NumberArray{DType::kF16, {}}.size()), 0U);
  load_f32({DType::kF64, {}}, 0, 0, nullptr);
  store_f32(nullptr, 0, DType::kBF16, nullptr);
}

}  // namespace
}  // namespace kinglet
