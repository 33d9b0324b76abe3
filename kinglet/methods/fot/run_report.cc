#include "kinglet/methods/fot/run_report.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/plot.h"
#include "kinglet/methods/fot/run_summary.h"

namespace kinglet::fot {
namespace {

constexpr std::string_view kStyle = R"(
:root{--ink:#1d2430;--soft:#667085;--line:#d7dce4;--back:#f7f8fa;--card:#fff;--live:#3b7dd8;--won:#1a9850;--bad:#d64545;--fix:#f0a020}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--line:#384252;--back:#14181f;--card:#1c222c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);margin:0 auto;max-width:1180px;padding:24px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:28px 0 8px}h3{font-size:15px;margin:0;font-weight:600}
p{margin:4px 0}.soft{color:var(--soft)}table{border-collapse:collapse;background:var(--card)}
td,th{border:1px solid var(--line);padding:4px 10px;text-align:right}td:first-child,th:first-child{text-align:left}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:14px 16px;margin:14px 0}
.card>pre.q{white-space:pre-wrap;font:inherit;margin:6px 0}.forest{display:flex;flex-wrap:wrap;align-items:flex-start;gap:12px;margin:8px 0}
.tree{border:1px solid var(--line);border-radius:6px;padding:6px 10px;max-width:100%;overflow-x:auto}
.tree.off{opacity:.75;border-style:dashed}.unborn{border:1px dashed var(--line);border-radius:6px;padding:6px 10px;color:var(--soft)}
.tag{display:inline-block;border-radius:10px;padding:0 8px;font-size:12px;color:#fff;background:var(--soft);margin-left:6px}
.tag.ok{background:var(--won)}.tag.no{background:var(--bad)}
.vote{display:flex;align-items:center;gap:8px;margin:2px 0}.bar{height:12px;background:var(--live);border-radius:3px}
.vote.first .bar{background:var(--won)}
svg{display:block;max-width:none}svg text{font:11px system-ui,sans-serif;fill:var(--ink)}
.e{fill:none;stroke:#aab4c3;stroke-width:1.4}.e.won{stroke:var(--won);stroke-width:2.4}.e.cut{stroke-dasharray:3 3}
circle{stroke:var(--card);stroke-width:1}.live{fill:var(--live)}.won{fill:var(--won)}.e.won{fill:none}
.cut{fill:none}circle.cut{fill:var(--card);stroke:var(--soft);stroke-width:1.4}
circle.bad{fill:var(--bad)}circle.fixed{stroke:var(--fix);stroke-width:3}
.n,.e{animation:appear .35s both}@keyframes appear{from{opacity:0}to{opacity:1}}
@media (prefers-reduced-motion:reduce){.n,.e{animation:none}}@media print{.n,.e{animation:none}}
details{margin:4px 0}summary{cursor:pointer;color:var(--soft)}details pre{white-space:pre-wrap;font-size:12px;margin:4px 0}
)";

std::string field_text(const Json& json, const char* field) {
  const auto found = json.find(field);
  if (found == json.end() || found->is_null()) return {};
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string shown(const Json& json, const char* field) { return escape_xml(field_text(json, field)); }

double number_in(const Json& json, const char* field) {
  const auto found = json.find(field);
  return found != json.end() && found->is_number() ? found->get<double>() : 0;
}

bool is_set(const Json& json, const char* field) {
  const auto found = json.find(field);
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

const Json& list_in(const Json& json, const char* field) {
  static const Json kEmpty = Json::array();
  const auto found = json.find(field);
  return found != json.end() && found->is_array() ? *found : kEmpty;
}

const Json& object_in(const Json& json, const char* field) {
  static const Json kEmpty = Json::object();
  const auto found = json.find(field);
  return found != json.end() && found->is_object() ? *found : kEmpty;
}

std::string arms_table(const std::vector<Json>& records) {
  std::string html =
      "<table><tr><th>arm</th><th>questions</th><th>accuracy</th><th>95 %</th><th>coverage</th><th>trees run</th>"
      "<th>calls</th><th>completion tokens</th><th>corrections</th><th>expert</th></tr>\n";
  for (const ArmSummary& arm : summarize(records)) {
    const auto [low, high] = wilson_interval(arm.right, arm.graded);
    const bool graded = arm.graded > 0;
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2f}</td><td>{:.2f}</td>"
        "<td>{:.0f}</td><td>{:.2f}</td><td>{:.0f}%</td></tr>\n",
        escape_xml(arm.arm), arm.questions, graded ? fmt::format("{:.1f}%", 100 * arm.accuracy()) : "unknown",
        graded ? fmt::format("{:.1f} to {:.1f}", 100 * low, 100 * high) : "",
        graded ? fmt::format("{:.1f}%", 100.0 * arm.covered / arm.graded) : "", arm.trees, arm.calls,
        arm.completion_tokens, arm.corrections, 100 * arm.experts);
  }
  return html + "</table>\n";
}

std::string legend() {
  const auto mark = [](std::string_view look, std::string_view meaning) {
    return fmt::format(
        "<svg width='16' height='14' style='display:inline'><circle class='{}' cx='8' cy='7' r='5'/></svg>{} "
        "&nbsp;",
        look, meaning);
  };
  return "<p class='soft'>" + mark("live", "kept") + mark("cut", "pruned") + mark("bad", "dropped by a rule") +
         mark("live fixed", "corrected") + mark("won", "the way to the tree's answer") +
         "Larger circles have higher scores; point at one to read it.</p>\n";
}

std::string votes_html(const Json& record) {
  std::string html;
  double most = 1;
  for (const Json& vote : list_in(record, "votes")) most = std::max(most, number_in(vote, "votes"));
  for (const Json& vote : list_in(record, "votes")) {
    const double votes = number_in(vote, "votes");
    html += fmt::format("<div class='vote{}'><div class='bar' style='width:{:.0f}px'></div>{:.0f} &times; {}</div>\n",
                        field_text(vote, "label") == field_text(record, "label") ? " first" : "", 180 * votes / most,
                        votes, shown(vote, "label"));
  }
  return html;
}

std::string thoughts_html(const Json& tree) {
  const Json& nodes = list_in(tree, "nodes");
  if (nodes.empty()) return "";
  std::string html = fmt::format("<details><summary>{} thoughts</summary>", nodes.size());
  for (const Json& node : nodes) {
    const std::string score = node.contains("score") ? fmt::format(" [{:.4g}]", number_in(node, "score")) : "";
    const std::string note = field_text(node, "note");
    html += fmt::format("<pre>{}{}{}{}: {}{}</pre>",
                        std::string(static_cast<std::size_t>(std::clamp(number_in(node, "layer"), 0.0, 20.0)), ' '),
                        shown(node, "kind"), score, is_set(node, "kept") ? "" : " (pruned)", shown(node, "text"),
                        note.empty() ? "" : "\n  " + escape_xml(note));
  }
  return html + "</details>";
}

std::string tree_html(const Json& tree, int number) {
  const bool active = is_set(tree, "active");
  std::string html = fmt::format("<div class='tree{}'><h3>tree {}<span class='tag{}'>{}</span></h3>",
                                 active ? "" : " off", number + 1, active ? " ok" : "", shown(tree, "stop_reason"));
  const std::string label = field_text(tree, "label");
  html += fmt::format(
      "<p class='soft'>{}{} calls, {} tokens{}</p>", label.empty() ? "" : "votes " + escape_xml(label) + "; ",
      number_in(object_in(tree, "cost"), "calls"), number_in(object_in(tree, "cost"), "completion_tokens"),
      number_in(tree, "corrections") > 0 ? fmt::format(", {} corrected", number_in(tree, "corrections")) : "");
  return html + tree_svg(tree, number + 1) + thoughts_html(tree) + "</div>\n";
}

std::string stop_html(const Json& record) {
  const auto run = list_in(record, "trees").size();
  const auto planned = static_cast<std::size_t>(std::clamp(number_in(record, "planned_trees"), 0.0, 1024.0));
  const Json& cost = object_in(record, "cost");
  std::string html = fmt::format(
      "<p>Decided by <b>{}</b> after {} of {} trees, {:.0f} calls, {:.0f} completion tokens.</p>",
      shown(record, "decided_by"), run, planned, number_in(cost, "calls"), number_in(cost, "completion_tokens"));
  if (!field_text(record, "expert").empty()) {
    html += fmt::format("<details><summary>the expert</summary><pre>{}</pre></details>", shown(record, "expert"));
  }
  return html;
}

std::string record_html(const Json& record) {
  const bool graded = record.contains("correct");
  const bool right = is_set(record, "correct");
  std::string html =
      fmt::format("<div class='card'><h3>{} &middot; {}<span class='tag{}'>{}</span></h3><pre class='q'>{}</pre>",
                  shown(record, "arm"), shown(record, "id"),
                  !graded ? ""
                  : right ? " ok"
                          : " no",
                  !graded                     ? shown(record, "status")
                  : right                     ? "right"
                  : is_set(record, "covered") ? "wrong, though a tree had it"
                                              : "wrong",
                  shown(record, "question"));
  html += fmt::format(
      "<p>Answer: <b>{}</b>{}</p>", shown(record, "label"),
      field_text(record, "gold").empty() ? "" : " <span class='soft'>right: " + shown(record, "gold") + "</span>");
  html += stop_html(record) + votes_html(record) + "<div class='forest'>\n";
  int number = 0;
  for (const Json& tree : list_in(record, "trees")) html += tree_html(tree, number++);
  const int spared = static_cast<int>(std::clamp(number_in(record, "planned_trees"), 0.0, 1024.0)) - number;
  if (spared > 0) html += fmt::format("<div class='unborn'>{} more trees were not needed</div>\n", spared);
  return html + "</div></div>\n";
}

}  // namespace

std::string html_report(const Json& header, const std::vector<Json>& records, const ReportOptions& options) {
  std::string html = fmt::format(
      "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
      "content='width=device-width'><title>Forest of Thought</title><style>{}</style></head><body>\n",
      kStyle);
  html += fmt::format(
      "<h1>Forest of Thought</h1><p class='soft'>task {}, model {}{}</p>\n", shown(header, "task"),
      shown(header, "model"),
      field_text(header, "expert") == field_text(header, "model") ? "" : ", expert " + shown(header, "expert"));
  html += arms_table(records);
  for (const ArmComparison& pair : compare_arms(records)) {
    html += fmt::format(
        "<p class='soft'>{} against {}: {} questions only the first got right, {} only the second; McNemar p = "
        "{:.3f}</p>\n",
        escape_xml(pair.first), escape_xml(pair.second), pair.first_only, pair.second_only, pair.p);
  }
  html += "<h2>Questions</h2>\n" + legend();
  std::vector<const Json*> order;
  for (const Json& record : records) order.push_back(&record);
  std::stable_sort(order.begin(), order.end(), [](const Json* a, const Json* b) {
    const auto rank = [](const Json& record) {
      return record.contains("correct") && !is_set(record, "correct") ? 0 : 1;
    };
    return rank(*a) < rank(*b);
  });
  std::map<std::string, std::size_t> shown_of_arm;
  std::size_t left_out = 0;
  for (const Json* record : order) {
    if (shown_of_arm[field_text(*record, "arm")]++ < options.most_questions)
      html += record_html(*record);
    else
      ++left_out;
  }
  if (left_out > 0) html += fmt::format("<p class='soft'>{} more questions are in the run file.</p>\n", left_out);
  return html + "</body></html>\n";
}

}  // namespace kinglet::fot
