#include "kinglet/kernels/logits.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "tests/kernels/simd_levels.h"

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(std::size_t n) {
  Rng rng(n);
  std::vector<float> logits(n);
  for (float& logit : logits) logit = static_cast<float>(4.0 * rng.normal());
  return logits;
}

TEST(Logits, TheLowestIndexAmongTheLargest) {
  testing_support::at_every_simd_level([] {
    for (const std::size_t n : {1, 15, 16, 17, 5000}) {
      std::vector<float> logits = random_logits(n);
      logits[n / 2] = logits[n - 1] = 50.0F;
      EXPECT_EQ(largest_logit(logits).index, n / 2);
      EXPECT_FALSE(largest_logit(logits).has_nan);
      logits[n / 3] = std::numeric_limits<float>::quiet_NaN();
      EXPECT_TRUE(largest_logit(logits).has_nan);
    }
    EXPECT_EQ(largest_logit(std::vector<float>(40, -kInfinity)).index, 0U);
    EXPECT_EQ(largest_logit(std::vector<float>{1.0F, kInfinity, 2.0F}).index, 1U);
  });
}

TEST(Logits, WeightsAreThoseOfASoftmax) {
  testing_support::at_every_simd_level([] {
    std::vector<float> logits = random_logits(9001), weights(logits.size());
    logits[7] = -kInfinity;
    logits[8] = -1e30F;
    const float largest = logits[largest_logit(logits).index];
    for (const float temperature : {0.3F, 1.0F, 2.5F}) {
      const double sum = softmax_weights(logits, largest, temperature, weights);
      double expected_sum = 0.0;
      for (std::size_t i = 0; i < logits.size(); ++i) {
        const double expected = std::exp(static_cast<double>(logits[i] - largest) / static_cast<double>(temperature));
        expected_sum += expected;
        EXPECT_NEAR(weights[i], expected, 1e-5 * expected + 1.7e-38);
      }
      EXPECT_EQ(weights[7], 0.0F);
      EXPECT_EQ(weights[8], 0.0F);
      EXPECT_NEAR(sum, expected_sum, 1e-6 * expected_sum);
    }
  });
}

}  // namespace
}  // namespace kinglet
