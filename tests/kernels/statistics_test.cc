// Histograms, exact medians and ordered sums against plain computations, at every instruction set.
#include "kinglet/kernels/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "tests/kernels/simd_levels.h"

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

using testing_support::at_every_simd_level;

// Values over many magnitudes, with zeros of both signs, denormals and repeats.
std::vector<float> sample(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(n);
  for (float& value : x) {
    value = static_cast<float>(rng.normal() * std::exp(4 * rng.normal()));
    const std::uint64_t kind = rng.below(20);
    if (kind == 0) value = 0.0F;
    if (kind == 1) value = -0.0F;
    if (kind == 2) value = std::bit_cast<float>(static_cast<std::uint32_t>(rng.below(1000)));
    if (kind == 3) value = 1.5F;
  }
  return x;
}

float sorted_lower_median(std::vector<float> x, bool skip_zeros) {
  for (float& value : x) value = std::fabs(value);
  if (skip_zeros) std::erase(x, 0.0F);
  std::sort(x.begin(), x.end());
  return x[(x.size() - 1) / 2];
}

float median_of(const std::vector<float>& x, bool skip_zeros, std::size_t pieces = 1) {
  std::vector<MagnitudeMedian> parts(pieces);
  const std::size_t step = (x.size() + pieces - 1) / pieces;
  const auto piece = [&](std::size_t p, auto&& use) {
    const std::size_t begin = std::min(x.size(), p * step), end = std::min(x.size(), begin + step);
    use(x.data() + begin, end - begin);
  };
  for (std::size_t p = 0; p < pieces; ++p) piece(p, [&](const float* at, std::size_t n) { parts[p].add_high(at, n); });
  for (std::size_t p = 1; p < pieces; ++p) parts[0].merge_high(parts[p]);
  EXPECT_TRUE(parts[0].select(skip_zeros));
  for (std::size_t p = 1; p < pieces; ++p) parts[p] = parts[0];
  for (std::size_t p = 0; p < pieces; ++p) piece(p, [&](const float* at, std::size_t n) { parts[p].add_low(at, n); });
  for (std::size_t p = 1; p < pieces; ++p) parts[0].merge_low(parts[p]);
  return parts[0].value();
}

TEST(MagnitudeMedian, LowerMedianOfFourIsTheSecond) { EXPECT_EQ(median_of({1, 2, 3, 4}, false), 2.0F); }

TEST(MagnitudeMedian, EqualsTheSortedOneForEverySize) {
  at_every_simd_level([] {
    for (const std::size_t n : {1U, 2U, 3U, 31U, 32U, 33U, 1000U, 65537U}) {
      const std::vector<float> x = sample(n, n);
      EXPECT_EQ(median_of(x, false), sorted_lower_median(x, false)) << n;
      EXPECT_EQ(median_of(x, false, 7), sorted_lower_median(x, false)) << n;
    }
    const std::vector<float> x = sample(5000, 3);
    EXPECT_EQ(median_of(x, true, 3), sorted_lower_median(x, true));
  });
}

TEST(MagnitudeMedian, CountsZerosAndHasNoMedianWithoutElements) {
  const std::vector<float> zeros{0.0F, -0.0F, 0.0F};
  MagnitudeMedian median;
  EXPECT_FALSE(median.select());
  median.add_high(zeros.data(), zeros.size());
  EXPECT_EQ(median.zeros(), 3U);
  EXPECT_FALSE(median.select(true));
  EXPECT_TRUE(median.select(false));
}

TEST(Sums, SameBitsAtEveryLevelAndCloseToExact) {
  for (const std::size_t n : {0U, 1U, 15U, 16U, 17U, 100000U}) {
    const std::vector<float> x = sample(n, 5 + n);
    long double exact = 0, magnitudes = 0;
    for (const float value : x) {
      exact += static_cast<long double>(value);
      magnitudes += std::fabs(static_cast<long double>(value));
    }
    force_simd_level(SimdLevel::kScalar);
    const double first = sum(x.data(), n), first_magnitudes = sum_of_magnitudes(x.data(), n);
    reset_simd_level();
    EXPECT_NEAR(first, static_cast<double>(exact), 1e-10 * static_cast<double>(magnitudes));
    EXPECT_NEAR(first_magnitudes, static_cast<double>(magnitudes), 1e-10 * static_cast<double>(magnitudes));
    at_every_simd_level([&] {
      EXPECT_EQ(std::bit_cast<std::uint64_t>(sum(x.data(), n)), std::bit_cast<std::uint64_t>(first));
      EXPECT_EQ(std::bit_cast<std::uint64_t>(sum_of_magnitudes(x.data(), n)),
                std::bit_cast<std::uint64_t>(first_magnitudes));
    });
  }
}

TEST(CheckValues, CountsWhatMustNotOccur) {
  at_every_simd_level([] {
    std::vector<float> x(3000, 1.0F);
    x[0] = -0.0F;
    x[17] = -1.0F;
    x[1500] = std::numeric_limits<float>::quiet_NaN();
    x[1501] = -std::numeric_limits<float>::infinity();
    x[2999] = std::numeric_limits<float>::max();
    const ValueCheck check = check_values(x.data(), x.size());
    EXPECT_EQ(check.nonfinite, 2U);
    EXPECT_EQ(check.negative, 2U);  // -1 and -infinity
  });
}

TEST(Subtract, IsTheRoundedDifference) {
  at_every_simd_level([] {
    const std::vector<float> a = sample(1003, 1), b = sample(1003, 2);
    std::vector<float> out(1003);
    subtract(a.data(), b.data(), out.size(), out.data());
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], a[i] - b[i]);
  });
}

TEST(ValueHistogram, BinsAreAscendingWithExactMeans) {
  at_every_simd_level([] {
    const std::vector<float> x = sample(20001, 9);
    std::vector<std::uint8_t> flags(x.size());
    Rng rng(4);
    for (auto& flag : flags) flag = static_cast<std::uint8_t>(rng.below(4));
    std::map<std::uint32_t, std::pair<std::uint64_t, long double>> expected;  // upper image bits -> count, sum
    for (std::size_t i = 0; i < x.size(); ++i) {
      if ((flags[i] & 2) == 0) continue;
      const auto bits = std::bit_cast<std::uint32_t>(x[i]);
      auto& [count, total] = expected[(bits ^ ((bits >> 31) != 0 ? 0xffffffffU : 0x80000000U)) >> 16];
      ++count;
      total += static_cast<long double>(x[i]);
    }
    ValueHistogram histogram, second;
    histogram.add(x.data(), flags.data(), 2, 12345);
    second.add(x.data() + 12345, flags.data() + 12345, 2, x.size() - 12345);
    histogram.merge(second);
    const auto bins = histogram.nonempty_bins();
    ASSERT_EQ(bins.size(), expected.size());
    auto at = expected.begin();
    for (std::size_t i = 0; i < bins.size(); ++i, ++at) {
      const auto& [count, total] = at->second;
      const auto mean = static_cast<double>(total / static_cast<long double>(count));
      EXPECT_EQ(bins[i].count, count);
      EXPECT_NEAR(bins[i].mean, mean, 1e-12 * std::fabs(mean) + 1e-60);
      if (i > 0) {
        EXPECT_LT(bins[i - 1].mean, bins[i].mean);
      }
    }
  });
}

}  // namespace
}  // namespace kinglet
