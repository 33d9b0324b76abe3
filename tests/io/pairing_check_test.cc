// The self-check of a pairing, on training that is simulated: weights move against their moments, with much noise.
#include "kinglet/io/pairing_check.h"

#include <cmath>
#include <deque>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

using Shape = std::vector<std::int64_t>;

// Parameters of a simulated run. The last direction makes up `share` of the way.
class Training {
 public:
  explicit Training(double share, std::uint64_t seed = 1) : share_(share), rng_(seed) {}

  MovedParameter parameter(std::string name, Shape shape, DType dtype = DType::kF32) {
    std::size_t count = 1;
    for (const std::int64_t size : shape) count *= static_cast<std::size_t>(size);
    std::vector<float> before(count), now(count), first(count), second(count);
    for (std::size_t i = 0; i < count; ++i) {
      const double g1 = rng_.normal(), g2 = 0.5 + rng_.uniform();
      const double direction = -g1 / std::sqrt(g2);
      before[i] = static_cast<float>(rng_.normal());
      now[i] = before[i] + static_cast<float>(0.01 * (share_ * direction + rng_.normal()));
      first[i] = static_cast<float>(g1);
      second[i] = static_cast<float>(g2);
    }
    return {std::move(name),    std::move(shape),     stored(before, dtype),
            stored(now, dtype), stored(first, dtype), stored(second, dtype)};
  }

 private:
  NumberArray stored(const std::vector<float>& values, DType dtype) {
    Bytes& bytes = arrays_.emplace_back(values.size() * item_size(dtype));
    store_f32(values.data(), values.size(), dtype, bytes.data());
    return {dtype, bytes};
  }

  double share_;
  Rng rng_;
  std::deque<Bytes> arrays_;
};

void swap_moments(MovedParameter& a, MovedParameter& b) {
  std::swap(a.first_moment, b.first_moment);
  std::swap(a.second_moment, b.second_moment);
}

constexpr std::int64_t kRows = 128, kColumns = 128;  // 16384 elements: just large enough to be judged

TEST(PairingCheck, RightPairsPass) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    Training run(0.1);
    std::vector<MovedParameter> parameters;
    for (int i = 0; i < 6; ++i) parameters.push_back(run.parameter("w" + std::to_string(i), {kRows, kColumns}, dtype));
    const PairingEvidence evidence = judge_pairing(parameters);
    EXPECT_FALSE(evidence.wrong());
    EXPECT_EQ(evidence.judged.size(), 6U);
    EXPECT_EQ(evidence.above_noise, 6U);
    for (const auto& judged : evidence.judged) {
      EXPECT_EQ(judged.best, judged.name);
      EXPECT_NEAR(judged.cosine, 0.1, 0.04);
      EXPECT_NEAR(judged.noise, 4.0 / 128, 1e-12);
    }
  }
}

TEST(PairingCheck, ExchangedMomentsOfEqualShapesAreFound) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kF64}) {
    Training run(0.15, 3);
    std::vector<MovedParameter> parameters;
    for (int i = 0; i < 5; ++i) parameters.push_back(run.parameter("w" + std::to_string(i), {kRows, kColumns}, dtype));
    parameters.push_back(run.parameter("other", {kRows * 2, kColumns}, dtype));
    swap_moments(parameters[1], parameters[3]);
    const PairingEvidence evidence = judge_pairing(parameters);
    EXPECT_TRUE(evidence.wrong());
    EXPECT_EQ(evidence.exchanged, 2U);
    for (const auto& judged : evidence.judged) {
      EXPECT_EQ(judged.exchanged, judged.name == "w1" || judged.name == "w3") << judged.name;
      if (judged.name == "w1") {
        EXPECT_EQ(judged.best, "w3");
        EXPECT_GT(judged.best_cosine, 0.1);
      }
    }
  }
}

TEST(PairingCheck, ARotationOfThreeIsFound) {
  Training run(0.15, 4);
  std::vector<MovedParameter> parameters;
  for (int i = 0; i < 3; ++i) parameters.push_back(run.parameter("w" + std::to_string(i), {kRows, kColumns}));
  swap_moments(parameters[0], parameters[1]);
  swap_moments(parameters[1], parameters[2]);
  EXPECT_EQ(judge_pairing(parameters).exchanged, 3U);
}

TEST(PairingCheck, LowCosinesAloneProveNothing) {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    Training run(0, seed);  // the moments say nothing about the way
    std::vector<MovedParameter> parameters;
    for (int i = 0; i < 8; ++i) parameters.push_back(run.parameter("w" + std::to_string(i), {kRows, kColumns}));
    const PairingEvidence evidence = judge_pairing(parameters);
    EXPECT_FALSE(evidence.wrong());
    EXPECT_LE(evidence.above_noise, 1U);
  }
}

TEST(PairingCheck, SmallTensorsAreNotJudged) {
  Training run(0.5);
  std::vector<MovedParameter> parameters = {run.parameter("a", {kRows, kColumns - 1}),
                                            run.parameter("b", {kRows, kColumns - 1}), run.parameter("c", {64}),
                                            run.parameter("d", {})};
  swap_moments(parameters[0], parameters[1]);
  const PairingEvidence evidence = judge_pairing(parameters);
  EXPECT_TRUE(evidence.judged.empty());
  EXPECT_FALSE(evidence.wrong());
}

TEST(PairingCheck, FrozenAndDamagedTensorsAreNotJudged) {
  Training run(0.3);
  std::vector<MovedParameter> parameters;
  for (int i = 0; i < 4; ++i) parameters.push_back(run.parameter("w" + std::to_string(i), {kRows, kColumns}));
  parameters[0].weight_now = parameters[0].weight_before;  // did not move
  const std::vector<float> zeros(kRows * kColumns), bad(kRows * kColumns, std::nanf(""));
  parameters[1].first_moment = {DType::kF32, std::as_bytes(std::span(zeros))};
  parameters[2].first_moment = {DType::kF32, std::as_bytes(std::span(bad))};
  const PairingEvidence evidence = judge_pairing(parameters);
  ASSERT_EQ(evidence.judged.size(), 1U);
  EXPECT_EQ(evidence.judged[0].name, "w3");
}

TEST(PairingCheck, OneMomentIsEnough) {
  Training run(0.3);
  std::vector<MovedParameter> parameters;
  for (int i = 0; i < 3; ++i) {
    parameters.push_back(run.parameter("w" + std::to_string(i), {kRows, kColumns}));
    parameters.back().second_moment.reset();
  }
  EXPECT_EQ(judge_pairing(parameters).above_noise, 3U);
  std::swap(parameters[0].first_moment, parameters[2].first_moment);
  EXPECT_TRUE(judge_pairing(parameters).wrong());
}

// More elements than are looked at: the sample spreads over the whole tensor.
TEST(PairingCheck, LargeTensorsAreSampled) {
  Training run(0.1, 8);
  std::vector<MovedParameter> parameters = {run.parameter("a", {1, 300'001}), run.parameter("b", {1, 300'001})};
  const PairingEvidence right = judge_pairing(parameters);
  EXPECT_EQ(right.above_noise, 2U);
  EXPECT_NEAR(right.judged[0].noise, 4 / std::sqrt(262'144.0), 1e-9);
  swap_moments(parameters[0], parameters[1]);
  EXPECT_TRUE(judge_pairing(parameters).wrong());
}

TEST(PairingCheck, NothingToJudge) { EXPECT_FALSE(judge_pairing({}).wrong()); }

}  // namespace
}  // namespace kinglet
