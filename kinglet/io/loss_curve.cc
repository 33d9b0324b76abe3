#include "kinglet/io/loss_curve.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "kinglet/base/plot.h"

namespace kinglet {
namespace {

constexpr int kWidth = 720, kLossHeight = 400, kRateHeight = 240;
constexpr std::size_t kSmoothFrom = 100;  // shorter series show every point

PlotSeries series_of(const std::vector<MetricsLine>& lines, const std::string& name) {
  PlotSeries series;
  series.label = name;
  for (const MetricsLine& line : lines) {
    const auto value = line.value(name);
    if (!value) continue;
    series.x.push_back(static_cast<double>(line.step));
    series.y.push_back(*value);
  }
  return series;
}

}  // namespace

std::vector<double> smoothed(const std::vector<double>& values, double window) {
  const double keep = 1 - 2 / (window + 1);
  double sum = 0, weights = 0;
  std::vector<double> result;
  result.reserve(values.size());
  for (const double value : values) {
    if (std::isfinite(value)) {
      sum = keep * sum + value;
      weights = keep * weights + 1;
    }
    result.push_back(std::isfinite(value) ? sum / weights : std::numeric_limits<double>::quiet_NaN());
  }
  return result;
}

std::string loss_curve_svg(const std::vector<MetricsLine>& lines, const std::string& title,
                           const LossCurveNames& names) {
  LinePlot losses{.title = title, .x_label = "step", .y_label = "loss"};
  PlotSeries train = series_of(lines, names.loss), evaluation = series_of(lines, names.evaluation_loss);
  if (train.y.size() >= kSmoothFrom) {
    const double window = std::floor(static_cast<double>(train.y.size()) / 50);
    train.y = smoothed(train.y, window);
    train.label += fmt::format(" (mean over {:.0f} points)", window);
  }
  evaluation.markers = evaluation.y.size() <= 50;
  if (!train.y.empty()) losses.series.push_back(std::move(train));
  if (!evaluation.y.empty()) losses.series.push_back(std::move(evaluation));

  LinePlot rates{.title = "", .x_label = "step", .y_label = "learning rate"};
  PlotSeries rate = series_of(lines, names.learning_rate);
  if (rate.y.empty()) return to_svg(losses, kWidth, kLossHeight);
  rates.series.push_back(std::move(rate));
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\">\n{2}"
      "<g transform=\"translate(0 {3})\">\n{4}</g>\n</svg>\n",
      kWidth, kLossHeight + kRateHeight, to_svg(losses, kWidth, kLossHeight), kLossHeight,
      to_svg(rates, kWidth, kRateHeight));
}

}  // namespace kinglet
