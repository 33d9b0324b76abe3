#include "kinglet/io/dtype.h"

#include <bit>
#include <cmath>
#include <limits>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

// ---- references: written for clarity, from the definition of the formats ---------------------------------------

double half_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

double bfloat16_value(std::uint16_t bits) {
  const int exponent = bits >> 7 & 255, mantissa = bits & 127;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -133) : std::ldexp(128 + mantissa, exponent - 134);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// Between two neighbouring finite values of a 16-bit format: the midpoint goes to the even one, everything else to the
// nearer one.
template <typename Value, typename Round>
void expect_nearest_even(std::uint16_t low, Value value, Round round) {
  const auto high = static_cast<std::uint16_t>(low + 1);
  const double middle = (value(low) + value(high)) / 2;
  const auto tie = static_cast<float>(middle);
  ASSERT_EQ(static_cast<double>(tie), middle);  // one more bit than the format: exact in fp32
  ASSERT_EQ(round(tie), low % 2 == 0 ? low : high) << low;
  ASSERT_EQ(round(std::nextafter(tie, -std::numeric_limits<float>::infinity())), value(low) < value(high) ? low : high);
  ASSERT_EQ(round(std::nextafter(tie, std::numeric_limits<float>::infinity())), value(low) < value(high) ? high : low);
}

TEST(Half, EveryBitPatternSurvives) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = half_to_float(half);
    const bool special = (bits >> 10 & 31) == 31;
    if (special && (bits & 1023) != 0) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_EQ(float_to_half(value), half | 0x200) << bits;  // quiet, payload kept
    } else {
      if (!special) {
        ASSERT_EQ(static_cast<double>(value), half_value(half)) << bits;
      }
      ASSERT_EQ(float_to_half(value), half) << bits;
    }
  }
  EXPECT_EQ(half_to_float(0x7C00), std::numeric_limits<float>::infinity());
  EXPECT_EQ(half_to_float(0xFC00), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::signbit(half_to_float(0x8000)));
}

TEST(Half, RoundsToNearestEvenBetweenAllNeighbours) {
  for (std::uint32_t sign : {0U, 0x8000U}) {
    for (std::uint32_t bits = 0; bits < 0x7BFF; ++bits) {
      expect_nearest_even(static_cast<std::uint16_t>(sign | bits), half_value, float_to_half);
    }
  }
  EXPECT_EQ(float_to_half(65519.996F), 0x7BFF);
  EXPECT_EQ(float_to_half(65520.0F), 0x7C00);  // the midpoint to 2^16 is infinity
  EXPECT_EQ(float_to_half(-1e30F), 0xFC00);
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::denorm_min()), 0);
}

// Golden check 9 of the sheet: what 16-bit codebooks do to second moments.
TEST(Half, FlushesTheSecondMomentsOfLargeModels) {
  EXPECT_EQ(float_to_half(4e-10F), 0);
  EXPECT_EQ(float_to_half(1e-5F), 168);
  EXPECT_EQ(half_to_float(168), 168 * 0x1p-24F);
  EXPECT_NEAR(static_cast<double>(half_to_float(168)), 1.00136e-5, 5e-11);
}

TEST(Bfloat16, EveryBitPatternSurvives) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto short_float = static_cast<std::uint16_t>(bits);
    const float value = bfloat16_to_float(short_float);
    const bool special = (bits >> 7 & 255) == 255;
    if (special && (bits & 127) != 0) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_EQ(float_to_bfloat16(value), short_float | 0x40) << bits;
    } else {
      if (!special) {
        ASSERT_EQ(static_cast<double>(value), bfloat16_value(short_float)) << bits;
      }
      ASSERT_EQ(float_to_bfloat16(value), short_float) << bits;
    }
  }
}

TEST(Bfloat16, RoundsToNearestEvenBetweenAllNeighbours) {
  for (std::uint32_t sign : {0U, 0x8000U}) {
    for (std::uint32_t bits = 0; bits < 0x7F7F; ++bits) {
      expect_nearest_even(static_cast<std::uint16_t>(sign | bits), bfloat16_value, float_to_bfloat16);
    }
  }
  EXPECT_EQ(float_to_bfloat16(std::numeric_limits<float>::max()), 0x7F80);
  // A NaN whose payload stands only in the lower half must not become infinity.
  EXPECT_EQ(float_to_bfloat16(std::bit_cast<float>(0x7F800001U)), 0x7FC0);
}

TEST(ShortFloats, RandomBitsRoundToTheNearerNeighbour) {
  Rng rng(5);
  for (int i = 0; i < 200'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(rng.next()));
    if (std::isnan(value)) continue;
    if (const std::uint16_t half = float_to_half(value); (half & 0x7C00) != 0x7C00) {
      const double error = std::fabs(half_value(half) - static_cast<double>(value));
      for (const int step : {-1, 1}) {
        const auto neighbour = static_cast<std::uint16_t>(half + step);
        ASSERT_LE(error, std::fabs(half_value(neighbour) - static_cast<double>(value))) << value;
      }
    }
    if (const std::uint16_t bf = float_to_bfloat16(value); (bf & 0x7F80) != 0x7F80) {
      const double error = std::fabs(bfloat16_value(bf) - static_cast<double>(value));
      for (const int step : {-1, 1}) {
        const auto neighbour = static_cast<std::uint16_t>(bf + step);
        ASSERT_LE(error, std::fabs(bfloat16_value(neighbour) - static_cast<double>(value))) << value;
      }
    }
  }
}

TEST(DType, NamesAndSizes) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(DType::kC128); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(parse_dtype(dtype_name(dtype)), dtype);
    EXPECT_TRUE(names.insert(dtype_name(dtype)).second);
    const bool is_8bit = dtype_name(dtype).find('8') == 1 && dtype != DType::kC128;
    EXPECT_EQ(item_size(dtype) == 1, is_8bit || dtype == DType::kBool) << dtype_name(dtype);
    EXPECT_EQ(is_float(dtype), dtype_name(dtype)[0] == 'F' || dtype == DType::kBF16) << dtype_name(dtype);
  }
  EXPECT_EQ(item_size(DType::kF32), 4U);
  EXPECT_EQ(item_size(DType::kBF16), 2U);
  EXPECT_EQ(item_size(DType::kC128), 16U);
  EXPECT_FALSE(parse_dtype("float32"));
  EXPECT_FALSE(parse_dtype("f32"));
  EXPECT_FALSE(parse_dtype(""));
}

}  // namespace
}  // namespace kinglet
