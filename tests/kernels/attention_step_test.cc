#include "kinglet/kernels/attention_step.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "tests/kernels/simd_levels.h"

#include "kinglet/base/rng.h"
#include "kinglet/kernels/attention.h"

namespace kinglet {
namespace {

std::vector<float> random_values(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

TEST(AttentionStep, EqualsAttentionOfTheLastQuery) {
  constexpr std::int64_t kHeads = 6, kKvHeads = 2, kDim = 20, kKeys = 75;
  const std::vector<float> query = random_values(kHeads * kDim, 1);
  const std::vector<float> key = random_values(kKeys * kKvHeads * kDim, 2), value = random_values(key.size(), 3);
  testing_support::at_every_simd_level([&] {
    for (const std::int64_t window : {0, 1, 10, 100}) {
      std::vector<float> expected(query.size()), out(query.size(), -1.0F);
      attention_forward({1, kHeads, kKvHeads, 1, kKeys, kDim}, {true, window, nullptr}, 0.3F,
                        {query.data(), kHeads * kDim, kHeads * kDim, kDim}, {key.data(), 0, kKvHeads * kDim, kDim},
                        {value.data(), 0, kKvHeads * kDim, kDim}, {expected.data(), kHeads * kDim, kHeads * kDim, kDim},
                        nullptr);
      const std::int64_t begin = window == 0 ? 0 : std::max<std::int64_t>(0, kKeys - window);
      const SeenTokens seen{key.data(), value.data(), kKvHeads * kDim, kDim, begin, kKeys};
      attention_step({&seen, 1}, kHeads, kKvHeads, kDim, 0.3F, query.data(), out.data());
      for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], 2e-6) << window << " " << i;
    }
  });
}

TEST(AttentionStep, SequencesOfDifferentLengthsGetTheirOwnBits) {
  constexpr std::int64_t kHeads = 4, kKvHeads = 1, kDim = 64, kSequences = 5;
  std::vector<std::vector<float>> keys, values;
  std::vector<SeenTokens> seen;
  for (std::int64_t i = 0; i < kSequences; ++i) {
    const auto tokens = static_cast<std::size_t>(i * 400);  // some are worth threads, the first sees nothing
    keys.push_back(random_values(tokens * kDim, 10 + static_cast<std::uint64_t>(i)));
    values.push_back(random_values(tokens * kDim, 20 + static_cast<std::uint64_t>(i)));
    seen.push_back({keys.back().data(), values.back().data(), kDim, kDim, 0, i * 400});
  }
  const std::vector<float> query = random_values(kSequences * kHeads * kDim, 4);
  std::vector<float> together(query.size(), -1.0F), alone(kHeads * kDim);
  attention_step(seen, kHeads, kKvHeads, kDim, 0.1F, query.data(), together.data());
  for (std::size_t i = 0; i < kSequences; ++i) {
    attention_step({&seen[i], 1}, kHeads, kKvHeads, kDim, 0.1F, query.data() + i * alone.size(), alone.data());
    for (std::size_t j = 0; j < alone.size(); ++j) ASSERT_EQ(alone[j], together[i * alone.size() + j]);
  }
  EXPECT_EQ(together[0], 0.0F);
}

}  // namespace
}  // namespace kinglet
