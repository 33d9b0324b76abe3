// Masks, classes, reconstruction and packing against plain computations, at every instruction set.
#include "kinglet/kernels/quantize.h"

#include <bit>
#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kernels/simd_levels.h"

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

using testing::ElementsAre;
using testing_support::at_every_simd_level;

std::vector<float> sample(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(n);
  for (float& value : x) value = rng.below(10) == 0 ? 0.0F : static_cast<float>(rng.normal());
  return x;
}

TEST(KeepFlags, AreStrictAndJoint) {
  at_every_simd_level([] {
    const std::vector<float> delta{0.0F, 1.0F, -1.0F, 1.5F, -1.5F}, first{9, 9, 9, 0.5F, -9};
    std::vector<std::uint8_t> flags(5);
    std::size_t moments = 0;
    EXPECT_EQ(build_keep_flags(delta.data(), first.data(), 5, 1.0F, 1.0F, true, flags.data(), &moments), 2U);
    EXPECT_THAT(flags, ElementsAre(0, 0, 0, 1, 3));
    EXPECT_EQ(moments, 1U);
    EXPECT_EQ(build_keep_flags(delta.data(), first.data(), 5, 1.0F, 1.0F, false, flags.data(), &moments), 2U);
    EXPECT_THAT(flags, ElementsAre(2, 2, 2, 1, 3));
    EXPECT_EQ(build_keep_flags(delta.data(), nullptr, 5, 0.0F, 0.0F, true, flags.data(), &moments), 4U);
    EXPECT_THAT(flags, ElementsAre(0, 1, 1, 1, 1));
    EXPECT_EQ(moments, 0U);
  });
}

TEST(Quantize, IsTheNumberOfBoundariesBelow) {
  at_every_simd_level([] {
    for (const std::size_t k : {1U, 2U, 3U, 15U, 16U, 17U, 255U}) {
      for (const std::size_t n : {1U, 63U, 64U, 65U, 1000U}) {
        const std::vector<float> x = sample(n, n + k);
        std::vector<std::uint8_t> flags(n), classes(n);
        Rng rng(k);
        const std::uint64_t spacing = n % 2 == 0 ? 3 : 30;  // dense and sparse chunks
        for (auto& flag : flags) flag = rng.below(spacing) == 0 ? kKeepMoment : 0;
        std::vector<float> boundaries;
        for (std::size_t j = 0; j + 1 < k; ++j) {
          boundaries.push_back(static_cast<float>(static_cast<double>(j) * 4 / static_cast<double>(k) - 2));
        }
        if (k > 2) boundaries[1] = boundaries[0];  // an empty class
        quantize(x.data(), flags.data(), kKeepMoment, boundaries.data(), k, n, classes.data());
        for (std::size_t i = 0; i < n; ++i) {
          int expected = 0;
          if (flags[i] != 0) {
            expected = 1;
            for (const float boundary : boundaries) expected += x[i] > boundary ? 1 : 0;
          }
          ASSERT_EQ(classes[i], expected) << k << " " << n << " " << i;
        }
      }
    }
  });
}

TEST(Dequantize, PrunedElementsKeepTheirBits) {
  at_every_simd_level([] {
    const std::size_t n = 777;
    std::vector<float> codebook(256), x(n), y(n);
    std::vector<std::uint8_t> classes(n);
    Rng rng(3);
    codebook[0] = -0.0F;
    for (std::size_t j = 1; j < 256; ++j) codebook[j] = static_cast<float>(rng.normal());
    for (std::size_t i = 0; i < n; ++i) {
      classes[i] = static_cast<std::uint8_t>(rng.below(2) * rng.below(256));
      x[i] = i % 5 == 0 ? -0.0F : static_cast<float>(rng.normal());
    }
    std::vector<float> sum = x;
    dequantize_add(classes.data(), codebook.data(), n, sum.data());
    dequantize(classes.data(), codebook.data(), n, y.data());
    for (std::size_t i = 0; i < n; ++i) {
      const float expected = classes[i] == 0 ? x[i] : x[i] + codebook[classes[i]];
      ASSERT_EQ(std::bit_cast<std::uint32_t>(sum[i]), std::bit_cast<std::uint32_t>(expected)) << i;
      ASSERT_EQ(std::bit_cast<std::uint32_t>(y[i]), std::bit_cast<std::uint32_t>(codebook[classes[i]])) << i;
    }
  });
}

TEST(Compact, ExpandIsItsInverse) {
  at_every_simd_level([] {
    for (const std::size_t n : {0U, 1U, 7U, 8U, 9U, 4099U}) {
      Rng rng(n);
      std::vector<std::uint8_t> selector(n), values(n), packed(n + 64), restored(n, 77);
      std::vector<std::uint8_t> expected;
      for (std::size_t i = 0; i < n; ++i) {
        selector[i] = static_cast<std::uint8_t>(rng.below(6) == 0 ? 1 + rng.below(255) : 0);
        values[i] = static_cast<std::uint8_t>(rng.below(256));
        if (selector[i] != 0) expected.push_back(values[i]);
      }
      const std::size_t taken = compact_nonzero(selector.data(), values.data(), n, packed.data());
      ASSERT_EQ(taken, expected.size());
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), packed.begin()));
      EXPECT_EQ(expand_nonzero(selector.data(), packed.data(), taken, n, restored.data()), taken);
      for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(restored[i], selector[i] != 0 ? values[i] : 0);
    }
  });
}

TEST(Compact, ExpandReportsMissingValuesAndReadsNoFurther) {
  at_every_simd_level([] {
    const std::vector<std::uint8_t> selector(100, 1);
    for (const std::size_t available : {0U, 1U, 50U, 99U}) {
      const std::vector<std::uint8_t> packed(available, 9);  // the sanitizer would see a read beyond
      std::vector<std::uint8_t> values(100, 77);
      EXPECT_EQ(expand_nonzero(selector.data(), packed.data(), available, 100, values.data()), 100U);
      EXPECT_EQ(std::count(values.begin(), values.end(), 9), static_cast<std::ptrdiff_t>(available));
      EXPECT_EQ(std::count(values.begin(), values.end(), 0), static_cast<std::ptrdiff_t>(100 - available));
    }
  });
}

TEST(PackBits, EveryWidthAndSizeRoundTrips) {
  at_every_simd_level([] {
    for (const int bits : {1, 2, 4, 8}) {
      for (const std::size_t n : {0U, 1U, 7U, 8U, 9U, 1000U, 1001U}) {
        Rng rng(n);
        std::vector<std::uint8_t> classes(n), packed((n * static_cast<std::size_t>(bits) + 7) / 8), restored(n);
        for (auto& value : classes) value = static_cast<std::uint8_t>(rng.below(1U << bits));
        pack_bits(classes.data(), n, bits, packed.data());
        unpack_bits(packed.data(), n, bits, restored.data());
        EXPECT_EQ(restored, classes);
      }
    }
  });
}

TEST(Counts, NonzeroAndMaximum) {
  at_every_simd_level([] {
    std::vector<std::uint8_t> x(1000);
    EXPECT_EQ(count_nonzero(x.data(), x.size()), 0U);
    EXPECT_EQ(max_value(x.data(), x.size()), 0);
    x[0] = 3;
    x[500] = 200;
    x[999] = 255;
    EXPECT_EQ(count_nonzero(x.data(), x.size()), 3U);
    EXPECT_EQ(max_value(x.data(), 999), 200);
    EXPECT_EQ(max_value(x.data(), 0), 0);
  });
}

// Golden check 4 of the method's specification.
TEST(PackBits, FirstElementStandsHigh) {
  std::vector<std::uint8_t> out(2), classes(4);
  const std::vector<std::uint8_t> four{1, 2, 15, 0}, two{1, 2, 3, 0}, odd{1, 2, 15};
  pack_bits(four.data(), 4, 4, out.data());
  EXPECT_THAT(out, ElementsAre(0x12, 0xF0));
  unpack_bits(out.data(), 4, 4, classes.data());
  EXPECT_EQ(classes, four);
  pack_bits(odd.data(), 3, 4, out.data());
  EXPECT_THAT(out, ElementsAre(0x12, 0xF0));
  pack_bits(two.data(), 4, 2, out.data());
  EXPECT_EQ(out[0], 0x6C);
  unpack_bits(out.data(), 4, 2, classes.data());
  EXPECT_EQ(classes, two);
}

}  // namespace
}  // namespace kinglet
