#include "kinglet/base/permutation.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace kinglet {
namespace {

TEST(Permutation, IsABijection) {
  for (const std::uint64_t count : {1ULL, 2ULL, 3ULL, 5ULL, 16ULL, 17ULL, 1000ULL, 4097ULL}) {
    for (const std::uint64_t seed : {0ULL, 1ULL, 77ULL}) {
      const Permutation order(count, seed);
      std::set<std::uint64_t> seen;
      for (std::uint64_t i = 0; i < count; ++i) seen.insert(order(i));
      EXPECT_EQ(seen.size(), count);
      EXPECT_LT(*seen.rbegin(), count);
    }
  }
}

TEST(Permutation, DependsOnTheSeed) {
  const Permutation a(1000, 1), b(1000, 2), again(1000, 1);
  int equal = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(a(i), again(i));
    equal += a(i) == b(i) ? 1 : 0;
  }
  EXPECT_LT(equal, 20);
}

// Neighbours land anywhere: the mean distance of a random order is a third of the range.
TEST(Permutation, ScattersNeighbours) {
  constexpr std::uint64_t kCount = 10'000;
  const Permutation order(kCount, 3);
  double distance = 0;
  for (std::uint64_t i = 1; i < kCount; ++i) {
    const auto a = static_cast<double>(order(i)), b = static_cast<double>(order(i - 1));
    distance += a > b ? a - b : b - a;
  }
  EXPECT_NEAR(distance / kCount / kCount, 1.0 / 3.0, 0.02);
}

TEST(Permutation, TakesHugeRanges) {
  const Permutation order(1ULL << 62, 5);
  EXPECT_LT(order(12345), 1ULL << 62);
  EXPECT_NE(order(0), order(1));
}

}  // namespace
}  // namespace kinglet
