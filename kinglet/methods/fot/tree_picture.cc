// The picture of one tree: layers from top to bottom, thoughts appear in the order in which they came up.
#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/plot.h"
#include "kinglet/methods/fot/run_report.h"

namespace kinglet::fot {
namespace {

constexpr std::size_t kMostNodes = 2000;
constexpr double kAcross = 30, kDown = 62, kMargin = 26;
constexpr std::size_t kLongestLabel = 24, kLongestTip = 600;

struct DrawnNode {
  int parent = -1;
  int layer = 0;
  double x = 0;
  bool kept = true, corrected = false, has_score = false, on_path = false;
  double score = 0;
  std::string kind, text, note;
  std::vector<int> children;
};

std::string text_in(const Json& json, const char* field) {
  const auto found = json.find(field);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool flag_in(const Json& json, const char* field, bool standard) {
  const auto found = json.find(field);
  return found != json.end() && found->is_boolean() ? found->get<bool>() : standard;
}

// Nodes whose parent stands before them; others become roots.
std::vector<DrawnNode> nodes_of(const Json& tree) {
  std::vector<DrawnNode> nodes;
  const auto list = tree.find("nodes");
  if (list == tree.end() || !list->is_array()) return nodes;
  for (const Json& json : *list) {
    if (nodes.size() == kMostNodes || !json.is_object()) break;
    DrawnNode node;
    const auto parent = json.find("parent");
    if (parent != json.end() && parent->is_number_integer()) {
      const auto number = parent->get<std::int64_t>();
      if (number >= 0 && number < static_cast<std::int64_t>(nodes.size())) node.parent = static_cast<int>(number);
    }
    const auto score = json.find("score");
    node.has_score = score != json.end() && score->is_number();
    if (node.has_score) node.score = score->get<double>();
    node.kept = flag_in(json, "kept", true);
    node.corrected = flag_in(json, "corrected", false);
    node.kind = text_in(json, "kind");
    node.text = text_in(json, "text");
    node.note = text_in(json, "note");
    if (node.parent >= 0) {
      DrawnNode& above = nodes[static_cast<std::size_t>(node.parent)];
      node.layer = above.layer + 1;
      above.children.push_back(static_cast<int>(nodes.size()));
    }
    nodes.push_back(std::move(node));
  }
  return nodes;
}

// Leaves side by side, parents over the middle of their children. Children have higher numbers than their parents.
double place(std::vector<DrawnNode>& nodes) {
  double next = kMargin;
  const auto leaves_first = [&](const auto& self, int number) -> void {
    DrawnNode& node = nodes[static_cast<std::size_t>(number)];
    if (node.children.empty()) {
      node.x = next;
      next += kAcross;
      return;
    }
    for (const int child : node.children) self(self, child);
    node.x = (nodes[static_cast<std::size_t>(node.children.front())].x +
              nodes[static_cast<std::size_t>(node.children.back())].x) /
             2;
  };
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].parent < 0 && nodes[i].layer == 0) leaves_first(leaves_first, static_cast<int>(i));
  }
  return next - kAcross + kMargin;
}

// From the node that gave the answer up to its root.
void mark_path(std::vector<DrawnNode>& nodes, bool active) {
  if (!active) return;
  int at = -1;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].kept && (nodes[i].kind == "close" || nodes[i].kind == "answer")) at = static_cast<int>(i);
  }
  for (; at >= 0; at = nodes[static_cast<std::size_t>(at)].parent) nodes[static_cast<std::size_t>(at)].on_path = true;
}

std::string shortened(const std::string& text, std::size_t longest) {
  if (text.size() <= longest) return text;
  std::size_t end = longest;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "\xE2\x80\xA6";
}

// The step without what is left; of an answer its last line, where it says what came out.
std::string short_label(const DrawnNode& node) {
  std::string label = node.text.substr(0, node.text.find(" (left"));
  if (node.kind == "answer") {
    label = label.substr(0, label.find_last_not_of(" \n") + 1);
    const std::size_t last = label.rfind('\n');
    if (last != std::string::npos) label = label.substr(last + 1);
  }
  return shortened(label.substr(0, label.find('\n')), kLongestLabel);
}

bool has_label(const DrawnNode& node) { return node.on_path || node.kind == "root"; }

std::string tip(const DrawnNode& node) {
  std::string text = shortened(node.text, kLongestTip);
  if (node.has_score) text += fmt::format("\nscore {:.4g}", node.score);
  if (!node.note.empty()) text += "\n" + shortened(node.note, kLongestTip);
  return escape_xml(text);
}

// Seconds until a thought appears: in the order in which they came up, all of them within six.
double delay_of(std::size_t order) { return std::min(0.07 * static_cast<double>(order), 6.0); }

double top(const DrawnNode& node) { return kMargin + kDown * node.layer; }

std::string circle(const DrawnNode& node, std::size_t order, double largest) {
  const bool failed = node.kind == "answer" && !node.kept && node.text.empty();
  std::string look = node.note.starts_with("dropped") || failed ? "bad"
                     : !node.kept                               ? "cut"
                     : node.on_path                             ? "won"
                                                                : "live";
  if (node.kind == "refusal") look = "cut";
  if (node.corrected) look += " fixed";
  const double size = node.has_score && largest > 0 ? 4 + 5 * std::clamp(node.score / largest, 0.0, 1.0) : 5;
  return fmt::format(
      "<g class='n' style='animation-delay:{:.2f}s'><circle class='{}' cx='{:.1f}' cy='{:.1f}' r='{:.1f}'/>"
      "<title>{}</title></g>\n",
      delay_of(order), look, node.x, top(node), size, tip(node));
}

}  // namespace

std::string tree_svg(const Json& tree, int number) {
  std::vector<DrawnNode> nodes = nodes_of(tree);
  if (nodes.empty()) return "";
  mark_path(nodes, flag_in(tree, "active", false));
  double width = place(nodes), largest = 0;
  int layers = 0;
  for (const DrawnNode& node : nodes) {
    layers = std::max(layers, node.layer);
    largest = std::max(largest, node.score);
    if (has_label(node)) width = std::max(width, node.x + 20 + 6.5 * static_cast<double>(short_label(node).size()));
  }
  const double height = 2 * kMargin + kDown * layers;
  std::string svg = fmt::format(
      "<svg viewBox='0 0 {0:.0f} {1:.0f}' width='{0:.0f}' height='{1:.0f}' role='img' "
      "aria-label='tree {2}'>\n",
      width, height, number);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const DrawnNode& node = nodes[i];
    if (node.parent < 0) continue;
    const DrawnNode& above = nodes[static_cast<std::size_t>(node.parent)];
    const double middle = (top(above) + top(node)) / 2;
    svg += fmt::format(
        "<path class='e{}' style='animation-delay:{:.2f}s' d='M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} "
        "{:.1f} {:.1f}'/>\n",
        node.on_path ? " won"
        : node.kept  ? ""
                     : " cut",
        delay_of(i), above.x, top(above), above.x, middle, node.x, middle, node.x, top(node));
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) svg += circle(nodes[i], i, largest);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const DrawnNode& node = nodes[i];
    if (!has_label(node)) continue;
    svg += fmt::format("<text class='n' style='animation-delay:{:.2f}s' x='{:.1f}' y='{:.1f}'>{}</text>\n", delay_of(i),
                       node.x + 11, top(node) - 9, escape_xml(short_label(node)));
  }
  return svg + "</svg>\n";
}

}  // namespace kinglet::fot
