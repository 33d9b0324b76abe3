#include "kinglet/methods/excp/chain_plot.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "kinglet/base/plot.h"

namespace kinglet::excp {
namespace {

constexpr int kWidth = 800, kPanel = 340;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

PlotSeries series(std::string label, bool markers) {
  PlotSeries result;
  result.label = std::move(label);
  result.markers = markers;
  return result;
}

struct Unit {
  const char* name;
  double bytes;
};

// Sizes on a log axis read best when the smallest one is about 1.
Unit unit_for(const std::vector<ChainPoint>& points) {
  double smallest = std::numeric_limits<double>::infinity();
  for (const ChainPoint& point : points) smallest = std::min(smallest, static_cast<double>(point.stored_bytes));
  if (smallest >= 1e9) return {"GB", 1e9};
  if (smallest >= 1e6) return {"MB", 1e6};
  return {"kB", 1e3};
}

LinePlot size_plot(const std::string& title, const std::vector<ChainPoint>& points) {
  const Unit unit = unit_for(points);
  PlotSeries original = series("as trained", false), deltas = series("deltas", true), keys = series("key frames", true);
  for (const ChainPoint& point : points) {
    const auto step = static_cast<double>(point.step);
    for (PlotSeries* each : {&original, &deltas, &keys}) each->x.push_back(step);
    original.y.push_back(static_cast<double>(point.original_bytes) / unit.bytes);
    deltas.y.push_back(point.key ? kNan : static_cast<double>(point.stored_bytes) / unit.bytes);
    keys.y.push_back(point.key ? static_cast<double>(point.stored_bytes) / unit.bytes : kNan);
  }
  return {title, "training step", fmt::format("size of a checkpoint [{}]", unit.name), true, {original, deltas, keys}};
}

LinePlot error_plot(const std::vector<ChainPoint>& points) {
  PlotSeries error = series("", true);
  for (const ChainPoint& point : points) {
    error.x.push_back(static_cast<double>(point.step));
    error.y.push_back(100 * point.weight_error);
  }
  return {"Error of the restored weights", "training step", "RMS error / RMS of the weights [%]", false, {error}};
}

}  // namespace

double weight_error(const std::vector<TensorRecord>& tensors) {
  double error = 0, weight = 0;
  for (const TensorRecord& tensor : tensors) {
    error += tensor.squared_error;
    weight += tensor.squared_weight;
  }
  return error == 0 ? 0 : std::sqrt(error / weight);
}

std::vector<ChainPoint> chain_points(const Store& store) {
  std::vector<ChainPoint> points;
  for (const StepInfo& info : store.steps()) {
    const StepDetails details = store.details(info.step);
    points.push_back({info.step, info.key, info.original_bytes, info.stored_bytes, weight_error(details.tensors)});
  }
  return points;
}

std::string chain_svg(const std::string& title, const std::vector<ChainPoint>& points) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\">\n{2}"
      "<g transform=\"translate(0 {3})\">\n{4}</g>\n</svg>\n",
      kWidth, 2 * kPanel, to_svg(size_plot(title, points), kWidth, kPanel), kPanel,
      to_svg(error_plot(points), kWidth, kPanel));
}

}  // namespace kinglet::excp
