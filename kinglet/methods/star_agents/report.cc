#include "kinglet/methods/star_agents/report.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "kinglet/base/plot.h"

namespace kinglet::star_agents {
namespace {

constexpr std::string_view kStyle =
    R"(body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:2px solid #0072B2}
table{border-collapse:collapse;margin:1rem 0;width:100%}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
th{background:#f3f6f9}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.note{color:#555}
svg{max-width:100%;height:auto;border:1px solid #eee;margin:.5rem 0}.warn{background:#fff4e0;border-left:4px solid #E69F00;padding:.4rem .8rem}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem}.pair>div{border:1px solid #ddd;border-radius:4px;padding:.5rem .8rem;overflow-wrap:anywhere;white-space:pre-wrap;font-size:90%}
.pair b{display:block;color:#0072B2}h3{margin-bottom:.3rem;white-space:pre-wrap;overflow-wrap:anywhere;font-size:1rem})";

constexpr std::size_t kShownText = 1200;     // bytes of an example's text
constexpr std::size_t kPlottedPoints = 400;  // of a line

std::string shortened(const std::string& text) {
  if (text.size() <= kShownText) return escape_xml(text);
  std::size_t end = kShownText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return escape_xml(text.substr(0, end)) + " …";
}

std::string row(const std::vector<std::string>& cells, bool head, std::size_t texts = 1) {
  std::string html = "<tr>";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const char* tag = head ? "th" : "td";
    html += fmt::format("<{}{}>{}</{}>", tag, i >= texts ? " class=\"n\"" : "", escape_xml(cells[i]), tag);
  }
  return html + "</tr>\n";
}

std::string percent(std::size_t part, std::size_t whole) {
  return whole == 0 ? "" : fmt::format("{:.0f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::vector<std::string> pair_cells(const PairStatistics& pair, const std::string& probability, std::size_t seeds) {
  const std::string gap =
      pair.gap.count() == 0 ? "" : fmt::format("{:+.3f} ± {:.3f}", pair.gap.mean(), pair.gap.deviation());
  return {pair.name,
          probability,
          fmt::format("{}", pair.drawn),
          fmt::format("{}", pair.unusable),
          fmt::format("{}", pair.compared),
          percent(pair.preferred, pair.compared),
          gap,
          fmt::format("{}", pair.wins),
          percent(pair.wins, seeds)};
}

std::string pair_table(const RunStatistics& statistics) {
  std::string html =
      "<table>" +
      row({"pair", "p at the end", "asked", "unusable", "compared", "preferred", "gap", "wins", "of all seeds"}, true);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < statistics.pairs.size(); ++i) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return statistics.pairs[a].wins > statistics.pairs[b].wins; });
  for (const std::size_t i : order) {
    const std::string p =
        statistics.history.empty() ? "" : fmt::format("{:.4f}", statistics.history.back().probabilities[i]);
    html += row(pair_cells(statistics.pairs[i], p, statistics.seeds), false);
  }
  return html + row(pair_cells(statistics.base, "fixed", statistics.seeds), false) + "</table>\n";
}

// Every so many waves, the last one always.
std::vector<std::size_t> plotted_waves(std::size_t waves) {
  const std::size_t step = std::max<std::size_t>(1, (waves + kPlottedPoints - 1) / kPlottedPoints);
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < waves; i += step) result.push_back(i);
  if (waves > 0 && result.back() != waves - 1) result.push_back(waves - 1);
  return result;
}

std::string probability_plot(const RunStatistics& statistics) {
  LinePlot plot{"Probability of each pair", "seeds", "p", false, {}};
  for (std::size_t pair = 0; pair < statistics.pairs.size(); ++pair) {
    PlotSeries series{statistics.pairs[pair].name, {0}, {1.0 / static_cast<double>(statistics.pairs.size())}, false};
    for (const std::size_t wave : plotted_waves(statistics.history.size())) {
      series.x.push_back(static_cast<double>(statistics.history[wave].seeds));
      series.y.push_back(statistics.history[wave].probabilities[pair]);
    }
    plot.series.push_back(std::move(series));
  }
  return to_svg(plot);
}

std::string wins_plot(const RunStatistics& statistics) {
  LinePlot plot{"Answers kept so far", "seeds", "wins", false, {}};
  for (std::size_t pair = 0; pair <= statistics.pairs.size(); ++pair) {
    PlotSeries series{
        pair < statistics.pairs.size() ? statistics.pairs[pair].name : statistics.base.name, {0}, {0}, false};
    for (const std::size_t wave : plotted_waves(statistics.history.size())) {
      series.x.push_back(static_cast<double>(statistics.history[wave].seeds));
      series.y.push_back(static_cast<double>(statistics.history[wave].wins[pair]));
    }
    plot.series.push_back(std::move(series));
  }
  return to_svg(plot);
}

std::string histogram_plot(const Histogram& histogram, const std::string& title) {
  BarPlot plot{title, "candidates", false, {}, {}};
  PlotSeries series;
  for (std::size_t i = 0; i < histogram.counts().size(); ++i) {
    const double from = histogram.low() + static_cast<double>(i) * histogram.width();
    plot.categories.push_back(i % 4 == 0 ? fmt::format("{:.2f}", from) : "");
    series.y.push_back(static_cast<double>(histogram.counts()[i]));
  }
  plot.series.push_back(std::move(series));
  return to_svg(plot, 720, 300);
}

std::string judge_plot(const RunStatistics& statistics) {
  BarPlot plot{"Verdicts against the base answer", "comparisons", false, {"worse", "equal", "better"}, {}};
  PlotSeries series;
  for (const std::size_t count : statistics.judge_scores) series.y.push_back(static_cast<double>(count));
  plot.series.push_back(std::move(series));
  return to_svg(plot, 720, 300);
}

std::string example_html(const Example& example) {
  std::string html = "<h3>" + shortened(example.instruction) + "</h3>\n";
  if (example.after_instruction != example.instruction) {
    html += "<p class=\"note\">rewritten: " + shortened(example.after_instruction) + "</p>\n";
  }
  html += fmt::format(
      "<div class=\"pair\"><div><b>before</b>{}</div><div><b>after: {}, score {:.2f}, gap "
      "{:+.3f}</b>{}</div></div>\n",
      shortened(example.before), escape_xml(example.source), example.composite, example.gap, shortened(example.after));
  return html;
}

}  // namespace

std::string report_html(const RunStatistics& statistics, const std::string& title,
                        const std::vector<std::pair<std::string, std::string>>& facts) {
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>\n"
      "<meta name=\"viewport\" content=\"width=device-width\"><style>{1}</style></head><body>\n<h1>{0}</h1>\n"
      "<p class=\"note\">Instruction data, refined: of every seed the answer that serves the target model best.</p>\n",
      escape_xml(title), kStyle);
  html += "<table>";
  std::size_t new_answers = 0;
  for (const PairStatistics& pair : statistics.pairs) new_answers += pair.wins;
  html += row({"seeds", fmt::format("{}", statistics.seeds)}, false, 2);
  html += row({"new answers", fmt::format("{} ({})", new_answers, percent(new_answers, statistics.seeds))}, false, 2);
  html += row(
      {"base answers kept", fmt::format("{}, of them {} of the seed file", statistics.base.wins, statistics.kept_seed)},
      false, 2);
  html += row({"mean score of what was kept", fmt::format("{:.3f}", statistics.composite.mean())}, false, 2);
  for (const auto& [name, value] : facts) html += row({name, value}, false, 2);
  for (const auto& [role, usage] : statistics.usage) {
    html += row({"tokens: " + role, fmt::format("{} read, {} written{}", usage.prompt, usage.completion,
                                                usage.estimated ? " (partly estimated)" : "")},
                false, 2);
  }
  html += "</table>\n";
  for (const std::string& warning : statistics.warnings())
    html += "<p class=\"warn\">" + escape_xml(warning) + "</p>\n";
  html += "<h2>Who was asked, who won</h2>\n" + pair_table(statistics) + probability_plot(statistics) +
          wins_plot(statistics);
  html +=
      "<h2>Scores</h2>\n<p class=\"note\">Gap: IFD of the small scorer less that of the large one; the higher, the "
      "more the answer is something that the target can still learn. Dual score: the gap over the largest of the "
      "same seed. Score: dual score times verdict.</p>\n";
  if (statistics.gaps.counts() != std::vector<std::size_t>(statistics.gaps.counts().size(), 0)) {
    html += histogram_plot(statistics.gaps, "Gap of the candidates") +
            histogram_plot(statistics.duals, "Dual score of the candidates");
  }
  if (statistics.judge_calls > 0) html += judge_plot(statistics);
  html += histogram_plot(statistics.composites, "Score of what was kept");
  if (!statistics.problems.empty()) {
    html += "<h2>Answers that could not be used</h2>\n<table>" + row({"reason", "answers"}, true);
    for (const auto& [problem, count] : statistics.problems) html += row({problem, fmt::format("{}", count)}, false);
    html += "</table>\n";
  }
  html += "<h2>Before and after</h2>\n";
  if (statistics.examples.empty()) html += "<p>No answer was replaced.</p>\n";
  for (const Example& example : statistics.examples) html += example_html(example);
  return html + "</body></html>\n";
}

}  // namespace kinglet::star_agents
