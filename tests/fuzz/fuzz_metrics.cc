// Lines of metrics.jsonl: what is accepted can be written again, is then read the same, and can be drawn.
#include <cmath>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/io/loss_curve.h"

namespace kinglet::fuzz {
namespace {

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

void check_metrics(ByteView input) {
  std::vector<MetricsLine> lines;
  if (!accepted([&] { lines = parse_metrics(as_text(input), "input"); })) return;
  std::string text;
  for (const MetricsLine& line : lines) text += metrics_line(line);
  std::vector<MetricsLine> again;
  require(accepted([&] { again = parse_metrics(text, "again"); }), "what is written can be read");
  require(again.size() == lines.size(), "every line survives");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    require(lines[i].step == again[i].step && same(lines[i].seconds, again[i].seconds), "step and time survive");
    require(lines[i].values.size() == again[i].values.size(), "every value survives");
    for (std::size_t k = 0; k < lines[i].values.size(); ++k) {
      require(lines[i].values[k].first == again[i].values[k].first, "names survive");
      require(same(lines[i].values[k].second, again[i].values[k].second), "numbers survive");
    }
  }
  require(loss_curve_svg(lines, "curve").ends_with("</svg>\n"), "a curve is drawn");
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(metrics, kinglet::fuzz::check_metrics)
