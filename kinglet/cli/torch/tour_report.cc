#include "kinglet/cli/torch/tour_report.h"

#include <fmt/format.h>

#include "kinglet/base/plot.h"
#include "kinglet/base/progress.h"

namespace kinglet::cli {
namespace {

constexpr const char* kStyle =
    R"(body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:2px solid #0072B2}
table{border-collapse:collapse;margin:1rem 0;width:100%}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #ddd}
th{background:#f3f6f9}code{background:#f3f6f9;padding:.1rem .3rem;border-radius:3px;font-size:90%}
svg{max-width:100%;height:auto;border:1px solid #eee;margin:.5rem 0}.note{color:#555})";

std::string html_table(const TourTable& table) {
  std::string html = "<table><tr>";
  for (const std::string& column : table.columns) html += "<th>" + escape_xml(column) + "</th>";
  html += "</tr>\n";
  for (const auto& row : table.rows) {
    html += "<tr>";
    for (const std::string& cell : row) html += "<td>" + escape_xml(cell) + "</td>";
    html += "</tr>\n";
  }
  return html + "</table>\n";
}

std::string html_quote(const std::string& text) {
  std::string html = "<blockquote>";
  std::size_t begin = 0;
  for (std::size_t end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find('\n', begin);
    html += (begin > 0 ? "<br>" : "") + escape_xml(text.substr(begin, end - begin));
  }
  return html + "</blockquote>\n";
}

}  // namespace

std::string to_terminal(const TourReport& report) {
  std::string text;
  for (const TourRow& row : report.rows) {
    text += fmt::format("{}\n  done     {}\n  result   {}\n  control  {}\n  yours    {}\n", row.system, row.done,
                        row.result, row.control, row.command);
  }
  return text;
}

std::string to_html(const TourReport& report) {
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Kinglet tour</title>\n"
      "<meta name=\"viewport\" content=\"width=device-width\"><style>{}</style></head><body>\n<h1>Kinglet tour</h1>\n"
      "<p class=\"note\">Measured on this machine in {}; the run folders and stores are beside this file.</p>\n",
      kStyle, format_duration(report.seconds));
  html += "<table><tr><th>system</th><th>what was done</th><th>result</th><th>control</th><th>your data</th></tr>\n";
  for (const TourRow& row : report.rows) {
    html += fmt::format("<tr><td><b>{}</b></td><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>\n",
                        escape_xml(row.system), escape_xml(row.done), escape_xml(row.result), escape_xml(row.control),
                        escape_xml(row.command));
  }
  html += "</table>\n";
  for (const TourSection& section : report.sections) {
    html += "<h2>" + escape_xml(section.title) + "</h2>\n";
    for (const std::string& paragraph : section.paragraphs) html += "<p>" + escape_xml(paragraph) + "</p>\n";
    if (!section.quote.empty()) html += html_quote(section.quote);
    for (const TourTable& table : section.tables) html += html_table(table);
    for (const std::string& plot : section.plots) html += plot;
  }
  return html + "</body></html>\n";
}

}  // namespace kinglet::cli
