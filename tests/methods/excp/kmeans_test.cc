// Properties of the clusterings, against brute force on small inputs.
#include "kinglet/methods/excp/kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kinglet::excp {
namespace {

std::vector<WeightedPoint> random_points(std::size_t m, Rng& rng) {
  std::vector<double> values;
  for (std::size_t i = 0; i < m; ++i) values.push_back(rng.normal() * std::exp(rng.normal()));
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  std::vector<WeightedPoint> points;
  for (const double value : values) points.push_back({value, 1 + rng.below(20)});
  return points;
}

double segment_cost(const std::vector<WeightedPoint>& points, std::size_t begin, std::size_t end) {
  double weight = 0, sum = 0, cost = 0;
  for (std::size_t i = begin; i < end; ++i) {
    weight += static_cast<double>(points[i].count);
    sum += points[i].value * static_cast<double>(points[i].count);
  }
  for (std::size_t i = begin; i < end; ++i) {
    cost += std::pow(points[i].value - sum / weight, 2) * static_cast<double>(points[i].count);
  }
  return cost;
}

double brute_force(const std::vector<WeightedPoint>& points, std::size_t begin, int k) {
  if (k == 1) return segment_cost(points, begin, points.size());
  double best = std::numeric_limits<double>::infinity();
  for (std::size_t end = begin + 1; end + static_cast<std::size_t>(k) - 1 <= points.size(); ++end) {
    best = std::min(best, segment_cost(points, begin, end) + brute_force(points, end, k - 1));
  }
  return best;
}

TEST(KMeans, DynamicProgramFindsTheOptimum) {
  Rng rng(1);
  for (int trial = 0; trial < 60; ++trial) {
    const auto points = random_points(5 + rng.below(9), rng);
    for (int k = 1; k <= 4; ++k) {
      const double best = brute_force(points, 0, k);
      EXPECT_NEAR(kmeans_optimal(points, k).sse, best, 1e-9 * (1 + best)) << trial << " " << k;
    }
  }
}

TEST(KMeans, OptimalIsNotAboveLloydIsNotAboveItsStart) {
  Rng rng(2);
  for (int trial = 0; trial < 20; ++trial) {
    const auto points = random_points(400, rng);
    const double optimal = kmeans_optimal(points, 15).sse, lloyd = kmeans_lloyd(points, 15).sse;
    const double start = kmeans_lloyd(points, 15, 0).sse;
    EXPECT_LE(optimal, lloyd * (1 + 1e-12));
    EXPECT_LE(lloyd, start * (1 + 1e-12));
  }
}

TEST(KMeans, CentresFollowShiftsAndScales) {
  Rng rng(3);
  const auto points = random_points(300, rng);
  auto moved = points;
  for (WeightedPoint& point : moved) point.value = 1000 + 8 * point.value;
  const auto centres = kmeans_optimal(points, 7).centres, other = kmeans_optimal(moved, 7).centres;
  ASSERT_EQ(centres.size(), other.size());
  EXPECT_TRUE(std::is_sorted(centres.begin(), centres.end()));
  for (std::size_t c = 0; c < centres.size(); ++c) EXPECT_NEAR(other[c], 1000 + 8 * centres[c], 1e-7);
}

TEST(KMeans, FarFromZeroNothingCancels) {
  const std::vector<WeightedPoint> points{{1e9, 5}, {1e9 + 1, 5}, {1e9 + 100, 5}, {1e9 + 101, 5}};
  const Clustering clustering = kmeans_optimal(points, 2);
  EXPECT_NEAR(clustering.sse, 5.0, 1e-6);
  EXPECT_THAT(clustering.centres,
              testing::ElementsAre(testing::DoubleNear(1e9 + 0.5, 1e-6), testing::DoubleNear(1e9 + 100.5, 1e-6)));
}

// The specification's measurement: 256 samples a centre and 25 iterations end well above the optimum.
TEST(KMeans, SampledIsWorseThanOptimalAndStillUseful) {
  Rng rng(4);
  std::vector<float> values(200000);
  for (float& value : values) value = static_cast<float>(rng.normal() * std::exp(0.7 * rng.normal()));
  std::sort(values.begin(), values.end());
  std::vector<WeightedPoint> points;
  for (const float value : values) {
    if (points.empty() || points.back().value != static_cast<double>(value))
      points.push_back({static_cast<double>(value), 0});
    ++points.back().count;
  }
  const auto error = [&](const std::vector<double>& centres) {
    double sse = 0;
    for (const WeightedPoint& point : points) {
      double best = std::numeric_limits<double>::infinity();
      for (const double centre : centres) best = std::min(best, std::pow(point.value - centre, 2));
      sse += best * static_cast<double>(point.count);
    }
    return sse;
  };
  const Clustering optimal = kmeans_lloyd(points, 15);
  const Clustering sampled = kmeans_sampled(values, 15, rng);
  ASSERT_EQ(sampled.centres.size(), 15U);
  EXPECT_GT(error(sampled.centres), error(optimal.centres));
  EXPECT_LT(error(sampled.centres), 10 * error(optimal.centres));
}

}  // namespace
}  // namespace kinglet::excp
