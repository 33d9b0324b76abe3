#include "kinglet/models/decoder/log_probabilities.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

TEST(LogProbabilities, EqualTheDefinitionInDoublePrecision) {
  Rng rng(3);
  for (const std::size_t size : {1U, 7U, 4096U, 20'001U}) {
    std::vector<float> logits(size);
    for (float& logit : logits) logit = static_cast<float>(6.0 * rng.normal());
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    std::vector<TokenId> order(size);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
      return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
    });
    const LogProbabilities result(logits, 5);
    ASSERT_EQ(result.best().size(), std::min<std::size_t>(5, size));
    for (std::size_t i = 0; i < result.best().size(); ++i) {
      const TokenAlternative& one = result.best()[i];
      EXPECT_EQ(one.token, order[i]);
      EXPECT_NEAR(one.log_probability, static_cast<double>(logits[static_cast<std::size_t>(order[i])]) - std::log(sum),
                  1e-5);
      EXPECT_EQ(one.log_probability, result.of(one.token));
    }
    EXPECT_TRUE(LogProbabilities(logits, 0).best().empty());
  }
}

TEST(LogProbabilities, EqualsNanAndInfinities) {
  const std::vector<float> equal = {2.0F, 3.0F, 3.0F, 3.0F, -INFINITY};
  const LogProbabilities result(equal, 2);
  ASSERT_EQ(result.best().size(), 2U);
  EXPECT_EQ(result.best()[0].token, 1);
  EXPECT_EQ(result.best()[1].token, 2);
  EXPECT_EQ(result.of(4), -INFINITY);
  EXPECT_TRUE(std::isnan(LogProbabilities(std::vector<float>{1.0F, NAN, 2.0F}, 2).of(0)));
}

}  // namespace
}  // namespace kinglet
