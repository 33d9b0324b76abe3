#include "kinglet/methods/excp/kmeans.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>

namespace kinglet::excp {
namespace {

// Prefix sums over points shifted by their mean, so that cost() does not cancel.
class Segments {
 public:
  explicit Segments(std::span<const WeightedPoint> points)
      : points_(points), count_(points.size() + 1), sum_(points.size() + 1), square_(points.size() + 1) {
    double total = 0, weight = 0;
    for (const WeightedPoint& point : points) {
      total += point.value * static_cast<double>(point.count);
      weight += static_cast<double>(point.count);
    }
    shift_ = total / weight;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const double value = points[i].value - shift_, count = static_cast<double>(points[i].count);
      count_[i + 1] = count_[i] + count;
      sum_[i + 1] = sum_[i] + value * count;
      square_[i + 1] = square_[i] + value * value * count;
    }
  }

  // Squared error of points [a, b) around their mean, a < b.
  double cost(std::size_t a, std::size_t b) const {
    const double sum = sum_[b] - sum_[a];
    return std::max(0.0, square_[b] - square_[a] - sum * sum / (count_[b] - count_[a]));
  }
  double mean(std::size_t a, std::size_t b) const {
    if (b == a + 1) return points_[a].value;  // exactly
    return shift_ + (sum_[b] - sum_[a]) / (count_[b] - count_[a]);
  }
  double weight_before(std::size_t a) const { return count_[a]; }
  std::size_t size() const { return points_.size(); }

 private:
  std::span<const WeightedPoint> points_;
  std::vector<double> count_, sum_, square_;
  double shift_ = 0;
};

Clustering exact_points(std::span<const WeightedPoint> points) {
  Clustering result;
  for (const WeightedPoint& point : points) result.centres.push_back(point.value);
  return result;
}

// ends: where each segment ends; ascending, the last is the number of points. Empty segments are left out.
Clustering from_segments(const Segments& segments, const std::vector<std::size_t>& ends) {
  Clustering result;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    if (end == begin) continue;
    result.centres.push_back(segments.mean(begin, end));
    result.sse += segments.cost(begin, end);
    begin = end;
  }
  return result;
}

// One layer of the dynamic program: now[j] = min over i of before[i] + cost(i, j). The best i does not decrease with
// j, so the middle j splits the candidates of both halves.
struct Layer {
  const Segments& segments;
  const std::vector<double>& before;
  std::vector<double>& now;
  std::vector<std::uint32_t>& argmin;
  std::size_t first;  // the smallest i allowed: so many points went to earlier segments

  void solve(std::size_t low, std::size_t high, std::size_t best_low, std::size_t best_high) {
    if (low > high) return;
    const std::size_t middle = (low + high) / 2;
    double best = std::numeric_limits<double>::infinity();
    std::size_t best_at = best_low;
    for (std::size_t i = std::max(best_low, first); i <= std::min(middle - 1, best_high); ++i) {
      const double value = before[i] + segments.cost(i, middle);
      if (value < best) {
        best = value;
        best_at = i;
      }
    }
    now[middle] = best;
    argmin[middle] = static_cast<std::uint32_t>(best_at);
    if (middle > low) solve(low, middle - 1, best_low, best_at);
    solve(middle + 1, high, best_at, best_high);
  }
};

// Assigns sorted points to the nearest of ascending centres: the end of each centre's segment.
std::vector<std::size_t> assign(std::span<const WeightedPoint> points, const std::vector<double>& centres) {
  std::vector<std::size_t> ends;
  for (std::size_t c = 0; c + 1 < centres.size(); ++c) {
    const double boundary = (centres[c] + centres[c + 1]) / 2;
    const auto end = std::upper_bound(points.begin(), points.end(), boundary,
                                      [](double value, const WeightedPoint& point) { return value < point.value; });
    ends.push_back(static_cast<std::size_t>(end - points.begin()));
  }
  ends.push_back(points.size());
  return ends;
}

}  // namespace

Clustering kmeans_optimal(std::span<const WeightedPoint> points, int k) {
  assert(k >= 1);
  const auto clusters = static_cast<std::size_t>(k);
  if (points.size() <= clusters) return exact_points(points);
  const Segments segments(points);
  const std::size_t m = points.size();
  std::vector<double> before(m + 1), now(m + 1);
  std::vector<std::vector<std::uint32_t>> argmins(clusters, std::vector<std::uint32_t>(m + 1));
  for (std::size_t j = 1; j <= m; ++j) before[j] = segments.cost(0, j);
  for (std::size_t layer = 1; layer < clusters; ++layer) {
    Layer{segments, before, now, argmins[layer], layer}.solve(layer + 1, m, layer, m - 1);
    std::swap(before, now);
  }
  std::vector<std::size_t> ends(clusters);
  std::size_t end = m;
  for (std::size_t layer = clusters; layer > 0; --layer) {
    ends[layer - 1] = end;
    end = argmins[layer - 1][end];
  }
  return from_segments(segments, ends);
}

Clustering kmeans_lloyd(std::span<const WeightedPoint> points, int k, int max_iterations) {
  assert(k >= 1);
  const auto clusters = static_cast<std::size_t>(k);
  if (points.size() <= clusters) return exact_points(points);
  const Segments segments(points);
  // Quantiles of the weights; each segment gets at least one point.
  std::vector<std::size_t> ends;
  const double total = segments.weight_before(points.size());
  for (std::size_t c = 1; c < clusters; ++c) {
    std::size_t end = ends.empty() ? 1 : ends.back() + 1;
    const double share = total * static_cast<double>(c) / static_cast<double>(clusters);
    while (end < points.size() - (clusters - c) && segments.weight_before(end) < share) ++end;
    ends.push_back(end);
  }
  ends.push_back(points.size());

  Clustering result = from_segments(segments, ends);
  for (int iteration = 0; iteration < max_iterations; ++iteration) {
    std::vector<std::size_t> next = assign(points, result.centres);
    if (next == ends) break;
    ends = std::move(next);
    result = from_segments(segments, ends);
  }
  return result;
}

Clustering kmeans_sampled(std::span<const float> values, int k, Rng& rng) {
  assert(k >= 1 && !values.empty());
  constexpr std::size_t kSamplesPerCentre = 256;
  constexpr int kIterations = 25;
  constexpr double kSplit = 1.0 / 1024;
  const auto clusters = static_cast<std::size_t>(k);
  std::vector<float> samples(values.begin(), values.end());
  if (samples.size() > kSamplesPerCentre * clusters) {
    samples.resize(kSamplesPerCentre * clusters);
    for (float& sample : samples) sample = values[rng.below(values.size())];
  }
  std::vector<double> centres;
  for (std::size_t c = 0; c < clusters; ++c) centres.push_back(static_cast<double>(samples[rng.below(samples.size())]));

  Clustering result;
  std::vector<double> sums(clusters);
  std::vector<std::size_t> sizes(clusters);
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    std::sort(centres.begin(), centres.end());
    std::fill(sums.begin(), sums.end(), 0.0);
    std::fill(sizes.begin(), sizes.end(), std::size_t{0});
    result.sse = 0;
    for (const float sample : samples) {
      const auto value = static_cast<double>(sample);
      auto at = static_cast<std::size_t>(std::lower_bound(centres.begin(), centres.end(), value) - centres.begin());
      if (at == clusters || (at > 0 && value - centres[at - 1] <= centres[at] - value)) --at;
      sums[at] += value;
      ++sizes[at];
      result.sse += (value - centres[at]) * (value - centres[at]);
    }
    for (std::size_t c = 0; c < clusters; ++c) {
      if (sizes[c] > 0) centres[c] = sums[c] / static_cast<double>(sizes[c]);
    }
    for (std::size_t c = 0; c < clusters; ++c) {
      if (sizes[c] > 0) continue;
      const auto largest = static_cast<std::size_t>(std::max_element(sizes.begin(), sizes.end()) - sizes.begin());
      centres[c] = centres[largest] * (1 + kSplit);
      centres[largest] *= 1 - kSplit;
      sizes[c] = sizes[largest] / 2;
      sizes[largest] -= sizes[c];
    }
  }
  std::sort(centres.begin(), centres.end());
  result.centres = std::move(centres);
  return result;
}

}  // namespace kinglet::excp
