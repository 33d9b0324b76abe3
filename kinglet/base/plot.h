// SVG charts for the tour, the reports and `export-plot`: self-contained files, no scripts, no fonts to fetch.
#pragma once

#include <string>
#include <vector>

namespace kinglet {

struct PlotSeries {
  std::string label;
  std::vector<double> x;
  std::vector<double> y;  // same length as x; NaN breaks the line
  bool markers = false;
};

struct LinePlot {
  std::string title;
  std::string x_label;
  std::string y_label;
  bool log_y = false;
  std::vector<PlotSeries> series;
};

struct BarPlot {
  std::string title;
  std::string y_label;
  bool log_y = false;
  std::vector<std::string> categories;
  std::vector<PlotSeries> series;  // y[i] belongs to categories[i]; x is not used; several series are grouped
};

std::string to_svg(const LinePlot& plot, int width = 720, int height = 400);
std::string to_svg(const BarPlot& plot, int width = 720, int height = 400);

std::string escape_xml(std::string_view text);

}  // namespace kinglet
