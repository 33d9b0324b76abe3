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
std::vector<float> sample_of(std::size_t n, std::uint64_t seed) {
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

float select(const std::vector<float>& x, std::uint64_t rank, std::size_t pieces = 1) {
  const std::size_t step = (x.size() + pieces - 1) / pieces;
  const auto for_pieces = [&](auto&& use) {
    for (std::size_t p = 0; p < pieces; ++p) {
      const std::size_t begin = std::min(x.size(), p * step), end = std::min(x.size(), begin + step);
      use(p, x.data() + begin, end - begin);
    }
  };
  std::vector<ValueHistogram> histograms(pieces);
  for_pieces([&](std::size_t p, const float* at, std::size_t n) { histograms[p].add(at, n); });
  for (std::size_t p = 1; p < pieces; ++p) histograms[0].merge(histograms[p]);
  EXPECT_EQ(histograms[0].count(), x.size());
  std::vector<MagnitudeSelector> selectors(pieces, MagnitudeSelector(histograms[0], rank));
  for_pieces([&](std::size_t p, const float* at, std::size_t n) { selectors[p].add(at, n); });
  for (std::size_t p = 1; p < pieces; ++p) selectors[0].merge(selectors[p]);
  return selectors[0].value();
}

TEST(MagnitudeSelector, LowerMedianOfFourIsTheSecond) { EXPECT_EQ(select({4, -3, 2, 1}, 1), 2.0F); }

TEST(MagnitudeSelector, EqualsSortingForEverySizeAndRank) {
  at_every_simd_level([] {
    for (const std::size_t n : {1U, 2U, 3U, 31U, 32U, 33U, 1000U, 65537U}) {
      const std::vector<float> x = sample_of(n, n);
      std::vector<float> sorted = x;
      for (float& value : sorted) value = std::fabs(value);
      std::sort(sorted.begin(), sorted.end());
      for (const std::size_t rank : {std::size_t{0}, (n - 1) / 2, n - 1}) {
        EXPECT_EQ(select(x, rank), sorted[rank]) << n << " " << rank;
        EXPECT_EQ(select(x, rank, 7), sorted[rank]) << n << " " << rank;
      }
    }
  });
}

TEST(ValueHistogram, BinsAboveAThresholdAreThoseOfTheValuesAboveIt) {
  at_every_simd_level([] {
    const std::vector<float> x = sample_of(30000, 21);
    for (const float threshold : {0.0F, 1e-42F, 0.3F, 1.5F, 3.0F, 1e30F}) {
      std::vector<std::uint8_t> flags(x.size());
      std::uint64_t above = 0;
      for (std::size_t i = 0; i < x.size(); ++i) above += flags[i] = std::fabs(x[i]) > threshold ? 1 : 0;
      ValueHistogram all, expected;
      all.add(x.data(), x.size());
      expected.add(x.data(), flags.data(), 1, x.size());
      ValueHistogram::Edge edge(threshold), second(threshold);
      edge.add(x.data(), 9999);
      second.add(x.data() + 9999, x.size() - 9999);
      edge.merge(second);
      const auto bins = all.bins_above(threshold, edge), wanted = expected.nonempty_bins();
      ASSERT_EQ(bins.size(), wanted.size()) << threshold;
      for (std::size_t i = 0; i < bins.size(); ++i) {
        EXPECT_EQ(bins[i].count, wanted[i].count);
        EXPECT_EQ(bins[i].mean, wanted[i].mean);
      }
      EXPECT_GE(all.count_from_bin_of(threshold), above);
    }
  });
}

TEST(CountZeros, BothSigns) {
  at_every_simd_level([] {
    std::vector<float> x(3000, 1e-45F);
    x[0] = x[1023] = x[2999] = 0.0F;
    x[1024] = -0.0F;
    EXPECT_EQ(count_zeros(x.data(), x.size()), 4U);
  });
}

TEST(Sums, SameBitsAtEveryLevelAndCloseToExact) {
  for (const std::size_t n : {0U, 1U, 15U, 16U, 17U, 100000U}) {
    const std::vector<float> x = sample_of(n, 5 + n);
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

TEST(Sums, SquaredErrorIsTheSameAtEveryLevel) {
  for (const std::size_t n : {0UL, 1UL, 15UL, 16UL, 17UL, 1000UL, 16384UL}) {
    Rng rng(n);
    std::vector<float> x(n), approximation(n);
    double error = 0, value = 0;
    for (std::size_t i = 0; i < n; ++i) {
      x[i] = static_cast<float>(rng.normal());
      approximation[i] = x[i] + static_cast<float>(0.01 * rng.normal());
      error += std::pow(static_cast<double>(x[i]) - static_cast<double>(approximation[i]), 2);
      value += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    }
    const SquaredSums first = squared_error(x.data(), approximation.data(), n);
    EXPECT_NEAR(first.error, error, 1e-12 * (1 + error));
    EXPECT_NEAR(first.value, value, 1e-12 * (1 + value));
    at_every_simd_level([&] {
      const SquaredSums other = squared_error(x.data(), approximation.data(), n);
      EXPECT_EQ(std::bit_cast<std::uint64_t>(other.error), std::bit_cast<std::uint64_t>(first.error));
      EXPECT_EQ(std::bit_cast<std::uint64_t>(other.value), std::bit_cast<std::uint64_t>(first.value));
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
    const std::vector<float> a = sample_of(1003, 1), b = sample_of(1003, 2);
    std::vector<float> out(1003);
    subtract(a.data(), b.data(), out.size(), out.data());
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], a[i] - b[i]);
  });
}

TEST(ValueHistogram, BinsAreAscendingWithExactMeans) {
  at_every_simd_level([] {
    const std::vector<float> x = sample_of(20001, 9);
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
