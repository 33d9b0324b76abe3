#include "kinglet/methods/excp/codebook.h"

#include <algorithm>
#include <limits>

#include "kinglet/io/dtype.h"

namespace kinglet::excp {
namespace {

// The dynamic program is exact up to here; beyond, neighbouring bins are joined pairwise first. A real residual fills
// one or two thousand bins.
constexpr std::size_t kMaxPoints = 8192;

void join_neighbours(std::vector<WeightedPoint>& points) {
  std::size_t out = 0;
  for (std::size_t i = 0; i < points.size(); i += 2) {
    WeightedPoint joined = points[i];
    if (i + 1 < points.size()) {
      const WeightedPoint& next = points[i + 1];
      const auto a = static_cast<double>(joined.count), b = static_cast<double>(next.count);
      joined.value += (next.value - joined.value) * (b / (a + b));
      joined.count += next.count;
    }
    points[out++] = joined;
  }
  points.resize(out);
}

}  // namespace

std::vector<double> codebook_centres(std::vector<WeightedPoint> points, int k, bool positive) {
  if (positive) std::erase_if(points, [](const WeightedPoint& point) { return point.value <= 0; });
  if (points.empty()) return {0.0};
  while (points.size() > kMaxPoints) join_neighbours(points);
  return kmeans_optimal(points, k).centres;
}

Quantizer make_quantizer(const std::vector<double>& centres, bool positive) {
  Quantizer quantizer;
  for (const double centre : centres) {
    auto rounded = static_cast<float>(centre);
    if (positive) rounded = std::max(rounded, std::numeric_limits<float>::min());
    quantizer.centres.push_back(rounded);
  }
  std::sort(quantizer.centres.begin(), quantizer.centres.end());
  quantizer.centres.erase(std::unique(quantizer.centres.begin(), quantizer.centres.end()), quantizer.centres.end());
  for (std::size_t i = 0; i + 1 < quantizer.centres.size(); ++i) {
    const double middle =
        (static_cast<double>(quantizer.centres[i]) + static_cast<double>(quantizer.centres[i + 1])) / 2;
    quantizer.boundaries.push_back(static_cast<float>(middle));
  }
  return quantizer;
}

void round_to_half(std::vector<float>& centres) {
  for (float& centre : centres) centre = half_to_float(float_to_half(centre));
}

}  // namespace kinglet::excp
