#include "kinglet/base/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

// Okabe and Ito's palette: distinguishable for colour-blind readers.
constexpr std::array<const char*, 7> kColours = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                 "#E69F00", "#56B4E9", "#444444"};
constexpr double kLeft = 74, kRight = 18, kTop = 40, kBottom = 58;
// Values beyond these are not drawn: near the ends of the number range the arithmetic of an axis would overflow.
constexpr double kLargest = 1e290, kSmallest = 1e-290;

bool plottable(double value, bool log) {
  return std::isfinite(value) && std::abs(value) <= kLargest && (!log || value >= kSmallest);
}

struct Axis {
  double low = 0, high = 1;
  bool log = false;
  std::vector<double> ticks;

  double fraction(double value) const {
    if (log) return (std::log10(value) - std::log10(low)) / (std::log10(high) - std::log10(low));
    return (value - low) / (high - low);
  }
  bool drawable(double value) const { return plottable(value, log); }
};

// Ticks at 1, 2 or 5 times a power of ten (or at powers of ten), the range widened to the outer ticks.
Axis make_axis(double low, double high, bool log) {
  Axis axis;
  axis.log = log;
  if (!(low <= high)) low = log ? 1 : 0, high = log ? 10 : 1;
  if (log) {
    const double first = std::floor(std::log10(low)), last = std::max(first + 1, std::ceil(std::log10(high)));
    const double stride = std::max(1.0, std::ceil((last - first) / 8));
    for (double power = first; power <= last + 1e-9; power += stride) axis.ticks.push_back(std::pow(10, power));
    axis.low = std::pow(10, first);
    axis.high = std::pow(10, last);
    return axis;
  }
  const double largest = std::max(std::abs(low), std::abs(high));
  if (high - low <= 1e-12 * largest || high - low < kSmallest) {
    const double pad = largest < kSmallest ? 1 : largest * 0.1;
    low -= pad;
    high += pad;
  }
  const double raw = (high - low) / 6;
  const double base = std::pow(10, std::floor(std::log10(raw)));
  const double step = base * (raw / base <= 1 ? 1 : raw / base <= 2 ? 2 : raw / base <= 5 ? 5 : 10);
  axis.low = std::floor(low / step + 1e-9) * step;
  axis.high = std::ceil(high / step - 1e-9) * step;
  for (int i = 0; i <= 20 && axis.low + i * step <= axis.high + step * 0.5; ++i) {
    const double tick = axis.low + i * step;
    axis.ticks.push_back(std::abs(tick) < step * 1e-9 ? 0 : tick);
  }
  return axis;
}

std::pair<double, double> finite_range(const std::vector<PlotSeries>& series, std::vector<double> PlotSeries::*values,
                                       bool log) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const PlotSeries& one : series) {
    for (const double value : one.*values) {
      if (!plottable(value, log)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  return {low, high};
}

struct Canvas {
  std::string svg;
  double width, height;

  double x(double fraction) const { return kLeft + fraction * (width - kLeft - kRight); }
  double y(double fraction) const { return height - kBottom - fraction * (height - kTop - kBottom); }

  void open(const std::string& title, const std::string& x_label, const std::string& y_label) {
    svg = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
        "height=\"{1:.0f}\" "
        "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        width, height);
    svg += fmt::format(
        "<text x=\"{:.1f}\" y=\"20\" text-anchor=\"middle\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        width / 2, escape_xml(title));
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", x(0.5), height - 22,
                       escape_xml(x_label));
    svg += fmt::format("<text transform=\"translate(16 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                       y(0.5), escape_xml(y_label));
  }
  void y_ticks(const Axis& axis) {
    for (const double tick : axis.ticks) {
      const double at = y(axis.fraction(tick));
      svg += fmt::format("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>\n", x(0),
                         x(1), at, at);
      svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{:g}</text>\n", x(0) - 6, at + 4, tick);
    }
  }
  void frame() {
    svg += fmt::format("<path d=\"M{:.1f} {:.1f}V{:.1f}H{:.1f}\" fill=\"none\" stroke=\"#333\"/>\n", x(0), y(1), y(0),
                       x(1));
  }
  void legend(const std::vector<PlotSeries>& series) {
    double at = x(0);
    for (std::size_t i = 0; i < series.size(); ++i) {
      if (series[i].label.empty()) continue;
      svg += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"12\" height=\"4\" fill=\"{}\"/>\n", at, height - 10,
                         kColours[i % kColours.size()]);
      svg +=
          fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", at + 16, height - 4, escape_xml(series[i].label));
      at += 30 + 7.0 * static_cast<double>(series[i].label.size());
    }
  }
};

void draw_line(Canvas& canvas, const PlotSeries& series, const Axis& x_axis, const Axis& y_axis, const char* colour) {
  std::string path;
  bool pen_down = false;
  std::string dots;
  for (std::size_t i = 0; i < std::min(series.x.size(), series.y.size()); ++i) {
    if (!x_axis.drawable(series.x[i]) || !y_axis.drawable(series.y[i])) {
      pen_down = false;
      continue;
    }
    const double px = canvas.x(x_axis.fraction(series.x[i])), py = canvas.y(y_axis.fraction(series.y[i]));
    path += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", px, py);
    pen_down = true;
    if (series.markers)
      dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", px, py, colour);
  }
  if (!path.empty())
    canvas.svg += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"/>\n", path, colour);
  canvas.svg += dots;
}

}  // namespace

std::string escape_xml(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string to_svg(const LinePlot& plot, int width, int height) {
  const auto [x_low, x_high] = finite_range(plot.series, &PlotSeries::x, false);
  const auto [y_low, y_high] = finite_range(plot.series, &PlotSeries::y, plot.log_y);
  const Axis x_axis = make_axis(x_low, x_high, false), y_axis = make_axis(y_low, y_high, plot.log_y);
  Canvas canvas{{}, static_cast<double>(width), static_cast<double>(height)};
  canvas.open(plot.title, plot.x_label, plot.y_label);
  canvas.y_ticks(y_axis);
  for (const double tick : x_axis.ticks) {
    canvas.svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:g}</text>\n",
                              canvas.x(x_axis.fraction(tick)), canvas.y(0) + 17, tick);
  }
  canvas.frame();
  for (std::size_t i = 0; i < plot.series.size(); ++i) {
    draw_line(canvas, plot.series[i], x_axis, y_axis, kColours[i % kColours.size()]);
  }
  canvas.legend(plot.series);
  return canvas.svg + "</svg>\n";
}

std::string to_svg(const BarPlot& plot, int width, int height) {
  auto [low, high] = finite_range(plot.series, &PlotSeries::y, plot.log_y);
  if (!plot.log_y && low <= high) low = std::min(low, 0.0), high = std::max(high, 0.0);
  const Axis axis = make_axis(low, high, plot.log_y);
  Canvas canvas{{}, static_cast<double>(width), static_cast<double>(height)};
  canvas.open(plot.title, "", plot.y_label);
  canvas.y_ticks(axis);
  const double slot = 1.0 / std::max<double>(1, static_cast<double>(plot.categories.size()));
  const double bar = 0.8 * slot / std::max<double>(1, static_cast<double>(plot.series.size()));
  const double zero = canvas.y(axis.log ? 0 : axis.fraction(0));
  for (std::size_t c = 0; c < plot.categories.size(); ++c) {
    for (std::size_t s = 0; s < plot.series.size(); ++s) {
      if (c >= plot.series[s].y.size() || !axis.drawable(plot.series[s].y[c])) continue;
      const double top = canvas.y(axis.fraction(plot.series[s].y[c]));
      const double x = canvas.x((static_cast<double>(c) + 0.1) * slot + static_cast<double>(s) * bar);
      canvas.svg += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n", x,
                                std::min(top, zero), bar * (canvas.x(1) - canvas.x(0)) * 0.95, std::abs(zero - top),
                                kColours[s % kColours.size()]);
    }
    canvas.svg +=
        fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                    canvas.x((static_cast<double>(c) + 0.5) * slot), canvas.y(0) + 17, escape_xml(plot.categories[c]));
  }
  canvas.frame();
  canvas.legend(plot.series);
  return canvas.svg + "</svg>\n";
}

}  // namespace kinglet
