// The golden checks of the method, numbered as in its specification (section 7); check 4 is in
// kernels/quantize_test.cc, check 12 in io/zip_test.cc.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/methods/excp/delta_harness.h"

#include "kinglet/base/parallel.h"
#include "kinglet/kernels/quantize.h"
#include "kinglet/kernels/rans.h"
#include "kinglet/kernels/simd.h"
#include "kinglet/methods/excp/delta_plan.h"
#include "kinglet/methods/excp/kmeans.h"

namespace kinglet::excp {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::FloatEq;
using testing::Pointwise;
using namespace testing_support;

Options with_lambda(double lambda, double beta = 2.0) {
  Options options;
  options.lambda = lambda;
  options.beta = beta;
  return options;
}

DeltaPlan plan_of(const TestParameter& parameter, const Options& options) {
  Floats reference = parameter.previous;
  DeltaInput input;
  input.name = "test.weight";
  input.n = parameter.weight.size();
  input.weight = view(parameter.weight);
  if (parameter.first) input.first_moment = view(*parameter.first);
  if (parameter.second) input.second_moment = view(*parameter.second);
  input.reference = reference;
  return plan_delta(input, options);
}

TestParameter paper_figure() {
  const Floats residual{2.2F, 1.4F, 1.3F, 3.2F, 1.2F, 1.5F, 0.1F, 2.4F, 3.8F};
  const Floats first{6.9F, 2.4F, 4.3F, 1.2F, 4.5F, 1.5F, 0.1F, 1.4F, 5.1F};
  const Floats second{3.1F, 1.4F, 0.8F, 1.5F, 2.4F, 0.4F, 1.1F, 2.3F, 2.4F};
  return {Floats(9, 0.0F), residual, first, second, {}, 0};
}

TEST(Golden, Check1PaperFigureMasks) {
  const TestParameter figure = paper_figure();
  const DeltaPlan plan = plan_of(figure, with_lambda(1.2, 1.45));
  EXPECT_THAT(plan.weight_threshold, FloatEq(1.8F));
  EXPECT_NEAR(plan.moment_threshold, 4.414, 1e-3);
  EXPECT_THAT(plan.codebooks[kWeight], ElementsAre(2.2F, 2.4F, 3.2F, 3.8F));
  EXPECT_THAT(plan.codebooks[kFirst], ElementsAre(5.1F, 6.9F));  // 4.5 is a candidate that the weight mask drops
  EXPECT_THAT(plan.codebooks[kSecond], ElementsAre(2.4F, 3.1F));
  EXPECT_EQ(plan.weights_kept, 4U);
  EXPECT_EQ(plan.moments_kept, 2U);
  const Decoded decoded = decode(encode(figure, with_lambda(1.2, 1.45)), figure.previous);
  EXPECT_THAT(decoded.weight, ElementsAre(2.2F, 0, 0, 3.2F, 0, 0, 0, 2.4F, 3.8F));
  EXPECT_THAT(decoded.first, ElementsAre(6.9F, 0, 0, 0, 0, 0, 0, 0, 5.1F));
  EXPECT_THAT(decoded.second, ElementsAre(3.1F, 0, 0, 0, 0, 0, 0, 0, 2.4F));
}

TEST(Golden, Check1PaperFigureCentres) {
  const std::vector<WeightedPoint> points{{2.2, 1}, {2.4, 1}, {3.2, 1}, {3.8, 1}};
  const Clustering clustering = kmeans_optimal(points, 2);
  EXPECT_THAT(clustering.centres, Pointwise(DoubleNear(1e-12), {2.3, 3.5}));
  EXPECT_NEAR(clustering.sse, 0.20, 1e-12);
}

TEST(Golden, Check2LowerMedianAndStrictThreshold) {
  const TestParameter parameter{Floats(4, 0.0F), {1, 2, 3, 4}, {}, {}, {}, 0};
  const DeltaPlan plan = plan_of(parameter, with_lambda(1));
  EXPECT_EQ(plan.weight_threshold, 2.0F);
  EXPECT_THAT(plan.codebooks[kWeight], ElementsAre(3.0F, 4.0F));
}

TEST(Golden, Check3Lambda) {
  EXPECT_DOUBLE_EQ(effective_lambda(5e-5, 4e-10, 2.5), 2.5);
  EXPECT_DOUBLE_EQ(effective_lambda(5e-5, 1.6e-9, 2.5), 1.25);
  EXPECT_DOUBLE_EQ(effective_lambda(5e-5, 1e-4, 2.5), 0.005);
  EXPECT_DOUBLE_EQ(effective_lambda(5e-5, 0, 2.5), 2.5);
}

TEST(Golden, Check5KMeans) {
  const std::vector<WeightedPoint> points{{1, 1}, {2, 1}, {10, 1}, {11, 1}, {20, 1}, {21, 1}};
  const Clustering clustering = kmeans_optimal(points, 3);
  EXPECT_THAT(clustering.centres, Pointwise(DoubleNear(1e-12), {1.5, 10.5, 20.5}));
  EXPECT_NEAR(clustering.sse, 1.5, 1e-12);
  const Clustering exact = kmeans_optimal(points, 6);
  EXPECT_EQ(exact.sse, 0);
  EXPECT_THAT(exact.centres, ElementsAre(1, 2, 10, 11, 20, 21));
}

TEST(Golden, Check6NothingPrunedMeansNothingLost) {
  TestParameter parameter = trained_parameter(3000, 1);
  const Floats steps{-3e-3F, -1e-4F, 2e-4F, 5e-4F, 1e-2F};
  Rng rng(2);
  for (std::size_t i = 0; i < 3000; ++i) parameter.weight[i] = parameter.previous[i] = 0.0F;
  for (std::size_t i = 0; i < 3000; ++i) parameter.weight[i] += steps[rng.below(5)];
  const Decoded decoded = decode(encode(parameter, with_lambda(0, 0)), parameter.previous);
  EXPECT_TRUE(same_bits(decoded.weight, parameter.weight));
}

TEST(Golden, Check6FewDistinctValuesStayExactInLargeTensors) {
  const std::size_t n = (std::size_t{1} << 20) + 77;
  TestParameter parameter{Floats(n, 0.0F), Floats(n), {}, {}, {}, 0};
  // Fifteen values, several of them in one histogram bin.
  Rng rng(2);
  for (float& weight : parameter.weight) weight = 1.0F + static_cast<float>(1 + rng.below(15)) * 0x1p-20F;
  const Decoded decoded = decode(encode(parameter, with_lambda(0, 0)), parameter.previous);
  EXPECT_TRUE(same_bits(decoded.weight, parameter.weight));
}

TEST(Golden, Check6SameCheckpointTwiceChangesNothing) {
  TestParameter parameter = trained_parameter(5000, 3);
  parameter.weight = parameter.previous;
  parameter.weight[7] = parameter.previous[7] = -0.0F;
  const Encoded encoded = encode(parameter, with_lambda(1));
  EXPECT_EQ(encoded.frame.weights_kept, 0U);
  EXPECT_TRUE(same_bits(decode(encoded, parameter.previous).weight, parameter.previous));
}

TEST(Golden, Check6ZeroReferenceIsPlainQuantisation) {
  TestParameter parameter = trained_parameter(5000, 4);
  parameter.previous.assign(5000, 0.0F);
  Options options = with_lambda(0);
  options.weight_bits = 8;
  const Decoded decoded = decode(encode(parameter, options), parameter.previous);
  std::vector<float> distinct = decoded.weight;
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  EXPECT_LE(distinct.size(), 256U);
  double error = 0, energy = 0;
  for (std::size_t i = 0; i < 5000; ++i) {
    error += std::pow(static_cast<double>(decoded.weight[i] - parameter.weight[i]), 2);
    energy += std::pow(static_cast<double>(parameter.weight[i]), 2);
  }
  EXPECT_LT(error, 1e-3 * energy);
}

TEST(Golden, Check7SupportsOfTheMoments) {
  TestParameter parameter = trained_parameter(200000, 5);
  for (std::size_t i = 0; i < 200000; i += 9) (*parameter.second)[i] = 0;
  const Encoded encoded = encode(parameter, with_lambda(1, 1));
  const Decoded decoded = decode(encoded, parameter.previous);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < 200000; ++i) {
    const bool moment = decoded.first[i] != 0;
    kept += moment ? 1 : 0;
    ASSERT_EQ(decoded.second[i] > 0, moment) << i;
    ASSERT_GE(decoded.second[i], 0);
    if (moment) {
      ASSERT_NE(decoded.weight[i], parameter.previous[i]) << i;
    }
  }
  EXPECT_EQ(kept, encoded.frame.moments_kept);
  EXPECT_GT(kept, 1000U);
}

TEST(Golden, Check8SameBytesAtEveryThreadCountAndInstructionSet) {
  const std::size_t n = 3 * (std::size_t{1} << 20) + 12345;
  const TestParameter parameter = trained_parameter(n, 6);
  force_simd_level(SimdLevel::kScalar);
  set_num_threads(1);
  const Encoded expected = encode(parameter, with_lambda(1));
  Bytes expected_frame;
  append_frame(expected.frame, expected_frame);
  for (const SimdLevel level : available_simd_levels()) {
    for (const int threads : {1, 2, 5}) {
      SCOPED_TRACE(testing::Message() << "level " << static_cast<int>(level) << ", threads " << threads);
      force_simd_level(level);
      set_num_threads(threads);
      const Encoded encoded = encode(parameter, with_lambda(1));
      Bytes frame;
      append_frame(encoded.frame, frame);
      EXPECT_EQ(frame, expected_frame);
      EXPECT_EQ(encoded.payloads, expected.payloads);
      EXPECT_TRUE(same_bits(encoded.reference, expected.reference));
      EXPECT_TRUE(same_bits(decode(encoded, parameter.previous).weight, expected.reference));
      reset_simd_level();
    }
  }
  set_num_threads(0);
}

TEST(Golden, Check9HalfPrecisionCodebooksFlushSmallSecondMoments) {
  EXPECT_EQ(float_to_half(4e-10F), 0);
  EXPECT_EQ(float_to_half(1e-5F), 168);
  EXPECT_NEAR(half_to_float(168), 1.00136e-5, 1e-10);
  TestParameter parameter = trained_parameter(100000, 7);
  for (float& second : *parameter.second) second *= 0.01F;  // all below half precision
  Options published = with_lambda(1);
  published.fp16_codebooks = true;
  const Decoded flushed = decode(encode(parameter, published), parameter.previous);
  const Decoded ours = decode(encode(parameter, with_lambda(1)), parameter.previous);
  const auto positive = [](const Floats& values) {
    return std::count_if(values.begin(), values.end(), [](float x) { return x > 0; });
  };
  EXPECT_EQ(positive(flushed.second), 0);
  EXPECT_GT(positive(ours.second), 100);
}

TEST(Golden, Check10SizesOfSeparateAndJointCoding) {
  const std::size_t n = std::size_t{1} << 20;
  Rng rng(8);
  std::vector<std::uint8_t> weight(n), first(n), second(n);
  for (std::size_t i = 0; i < n; ++i) {
    if (rng.uniform() >= 0.1) continue;
    weight[i] = static_cast<std::uint8_t>(1 + rng.below(15));
    if (rng.uniform() >= 0.14) continue;
    first[i] = static_cast<std::uint8_t>(1 + rng.below(15));
    second[i] = static_cast<std::uint8_t>(1 + rng.below(15));
  }
  const auto bits = [](const std::vector<std::uint8_t>& symbols) {
    return order0_entropy_bits(symbols) / static_cast<double>(n);
  };
  EXPECT_NEAR(bits(weight) + bits(first) + bits(second), 1.18, 0.01);
  std::vector<std::uint8_t> b(n + 64), c(n + 64);
  b.resize(compact_nonzero(weight.data(), first.data(), n, b.data()));
  c.resize(compact_nonzero(first.data(), second.data(), n, c.data()));
  EXPECT_NEAR(bits(weight) + bits(b) + bits(c), 1.03, 0.01);
}

TEST(Golden, Check11ErrorFeedbackBoundsTheError) {
  // w = 0, 1, 2, ...: with a threshold of 1.5 every second step is sent, and the error never passes the threshold.
  double reconstruction = 0, raw_previous = 0, against_raw = 0;
  for (int t = 1; t < 50; ++t) {
    const double w = t;
    const auto sent = [](double residual) { return std::fabs(residual) > 1.5 ? residual : 0.0; };
    reconstruction += sent(w - reconstruction);
    against_raw += sent(w - raw_previous);
    raw_previous = w;
    EXPECT_LE(std::fabs(w - reconstruction), 1.5);
  }
  EXPECT_EQ(against_raw, 0);
  // The codec itself: 30 steps of one tensor, always coded against its own reconstruction.
  TestParameter parameter = trained_parameter(4000, 9);
  Rng rng(10);
  double largest = 0, threshold = 0;
  for (int t = 0; t < 30; ++t) {
    for (float& w : parameter.weight) w += static_cast<float>(1e-4 * (1 + 0.1 * rng.normal()));
    const Encoded encoded = encode(parameter, with_lambda(1.5));
    parameter.previous = encoded.reference;
    threshold = static_cast<double>(encoded.frame.weight_threshold);
    largest = 0;
    for (std::size_t i = 0; i < 4000; ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(parameter.weight[i] - parameter.previous[i])));
    }
  }
  EXPECT_LE(largest, 2 * threshold);  // threshold or quantisation error, not thirty steps' worth of drift
}

TEST(Golden, Check13PythiaAccounting) {
  // GPT-NeoX, 24 layers of width 1024, MLP 4096, vocabulary 50,304, untied.
  const std::uint64_t layers = 24, d = 1024, mlp = 4096, vocabulary = 50304;
  const std::uint64_t layer = (3 * d * d + 3 * d) + (d * d + d) + (mlp * d + mlp) + (d * mlp + d) + 4 * d;
  const std::uint64_t parameters = layers * layer + 2 * vocabulary * d + 2 * d;
  EXPECT_EQ(parameters, 405334016U);
  EXPECT_EQ(layers * 12 + 4, 292U);
  EXPECT_EQ(parameters * 12, 4864008192U);
}

}  // namespace
}  // namespace kinglet::excp
