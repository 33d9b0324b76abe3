#include "kinglet/methods/fot/trace.h"

#include <algorithm>

#include "kinglet/text/utf8.h"

namespace kinglet::fot {
namespace {

constexpr std::size_t kLongestThought = 4000;

// Cut at a character, so that the text stays UTF-8.
std::string clean(const std::string& text) {
  std::string valid = utf8::replace_invalid(text);
  if (valid.size() <= kLongestThought) return valid;
  std::size_t end = kLongestThought;
  while (end > 0 && (static_cast<unsigned char>(valid[end]) & 0xC0) == 0x80) --end;
  return valid.substr(0, end) + " [...]";
}

}  // namespace

Json thought_to_json(const TraceNode& node) {
  Json json = {{"parent", node.parent},
               {"layer", node.layer},
               {"kind", node.kind},
               {"text", clean(node.text)},
               {"kept", node.kept}};
  if (node.score) json["score"] = *node.score;
  if (node.corrected) json["corrected"] = true;
  if (!node.note.empty()) json["note"] = clean(node.note);
  return json;
}

Json votes_to_json(const Tally& votes) {
  Json json = Json::array();
  for (const Tally::Count& count : votes.counts()) {
    json.push_back({{"label", clean(count.label)}, {"votes", count.votes}});
  }
  return json;
}

namespace {

Json tree_to_json(const TreeResult& tree, const CallCost& cost, TraceDetail detail) {
  Json json = {{"active", tree.active}, {"stop_reason", clean(tree.stop_reason)}};
  if (!tree.input.empty()) json["input"] = tree.input;
  json["label"] = tree.label ? Json(clean(*tree.label)) : Json();
  json["score"] = tree.score;
  if (tree.confidence) json["confidence"] = *tree.confidence;
  if (tree.claimed) json["claimed"] = true;
  if (tree.claimed) json["verified"] = tree.verified;
  json["corrections"] = tree.corrections;
  json["lines_dropped"] = tree.lines_dropped;
  json["unreadable"] = tree.unreadable;
  json["cost"] = cost_to_json(cost);
  if (detail == TraceDetail::kBrief) return json;
  json["text"] = clean(tree.text);
  json["nodes"] = Json::array();
  for (const TraceNode& node : tree.nodes) json["nodes"].push_back(thought_to_json(node));
  return json;
}

}  // namespace

Json result_to_json(const ForestResult& result, TraceDetail detail) {
  Json json = {{"status", result.status}, {"decided_by", result.decided_by}};
  json["label"] = result.label ? Json(clean(*result.label)) : Json();
  json["answer"] = clean(result.text);
  json["planned_trees"] = result.planned;
  json["votes"] = votes_to_json(result.votes);
  json["consensus"] = {result.votes.leader_votes(), result.votes.trees()};
  if (!result.expert_text.empty()) json["expert"] = clean(result.expert_text);
  json["trees"] = Json::array();
  for (std::size_t i = 0; i < result.trees.size(); ++i) {
    json["trees"].push_back(tree_to_json(result.trees[i], result.costs[i], detail));
  }
  json["decision_cost"] = cost_to_json(result.decision_cost);
  json["late"] = cost_to_json(result.late);
  json["cost"] = cost_to_json(result.total());
  return json;
}

}  // namespace kinglet::fot
