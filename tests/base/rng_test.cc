#include "kinglet/base/rng.h"

#include <array>
#include <bit>
#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kinglet {
namespace {

// The published algorithms once more, checked against their authors' values first.
std::uint64_t splitmix64(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::uint64_t xoshiro(std::array<std::uint64_t, 4>& s) {
  const std::uint64_t result = std::rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = std::rotl(s[3], 45);
  return result;
}

TEST(Rng, IsXoshiro256StarStarSeededBySplitMix64) {
  std::uint64_t seed = 1234567;
  EXPECT_EQ(splitmix64(seed), 6457827717110365317u);
  EXPECT_EQ(splitmix64(seed), 3203168211198807973u);
  std::array<std::uint64_t, 4> state = {1, 2, 3, 4};
  for (const std::uint64_t value : {std::uint64_t{11520}, std::uint64_t{0}, std::uint64_t{1509978240},
                                    std::uint64_t{1215971899390074240}, std::uint64_t{1216172134540287360}}) {
    EXPECT_EQ(xoshiro(state), value);
  }
  seed = 42;
  for (std::uint64_t& word : state) word = splitmix64(seed);
  Rng rng(42);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(rng.next(), xoshiro(state)) << i;
}

TEST(Rng, BelowIsUniform) {
  Rng rng(7);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts[rng.below(7)];
  double chi2 = 0;
  for (const int count : counts) chi2 += (count - 10'000.0) * (count - 10'000.0) / 10'000.0;
  EXPECT_LT(chi2, 25);  // 6 degrees of freedom: above 25 with probability 3e-4
  EXPECT_EQ(rng.below(1), 0u);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_LT(rng.below((std::uint64_t{1} << 63) + 1), (std::uint64_t{1} << 63) + 1);  // rejects about half
  }
}

TEST(Rng, UniformStaysInsideAndFillsTheInterval) {
  Rng rng(3);
  double low = 1, high = 0, sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double value = rng.uniform();
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 1);
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
  }
  EXPECT_LT(low, 1e-3);
  EXPECT_GT(high, 1 - 1e-3);
  EXPECT_NEAR(sum / 100'000, 0.5, 5e-3);
}

TEST(Rng, NormalHasTheMomentsOfANormal) {
  Rng rng(4);
  double sum = 0, squares = 0, fourth = 0;
  constexpr int kCount = 200'000;
  for (int i = 0; i < kCount; ++i) {
    const double value = rng.normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
    fourth += value * value * value * value;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.01);
  EXPECT_NEAR(squares / kCount, 1, 0.02);
  EXPECT_NEAR(fourth / kCount, 3, 0.12);
}

}  // namespace
}  // namespace kinglet
