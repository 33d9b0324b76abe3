#include "kinglet/methods/fot/forest_watch.h"

#include "kinglet/methods/fot/trace.h"
#include "kinglet/text/utf8.h"

namespace kinglet::fot {
namespace {

Json label_json(const std::optional<std::string>& label) {
  return label ? Json(utf8::replace_invalid(*label)) : Json();
}

Json end_of(const TreeResult& tree, int number) {
  return {{"event", "tree_end"},
          {"tree", number},
          {"active", tree.active},
          {"label", label_json(tree.label)},
          {"stop_reason", utf8::replace_invalid(tree.stop_reason)},
          {"score", tree.score}};
}

Json end_of(const ForestResult& result) {
  const CallCost total = result.total();
  return {{"event", "end"},
          {"status", result.status},
          {"decided_by", result.decided_by},
          {"label", label_json(result.label)},
          {"trees", result.trees.size()},
          {"planned_trees", result.planned},
          {"calls", total.total_calls()},
          {"completion_tokens", total.usage.completion}};
}

}  // namespace

std::vector<Json> ForestWatch::news() {
  std::vector<Json> news;
  if (ended_) return news;
  for (int tree = 0; tree < forest_.trees_started(); ++tree) look_at_tree(tree, news);
  if (forest_.votes().trees() != counted_) {
    counted_ = forest_.votes().trees();
    news.push_back({{"event", "votes"}, {"votes", votes_to_json(forest_.votes())}, {"trees", counted_}});
  }
  if (forest_.ended()) {
    ended_ = true;
    news.push_back(end_of(forest_.result()));
  }
  return news;
}

void ForestWatch::look_at_tree(int tree, std::vector<Json>& news) {
  const auto [found, fresh] = seen_.try_emplace(tree);
  Seen& seen = found->second;
  if (seen.ended) return;
  if (fresh) news.push_back({{"event", "tree"}, {"tree", tree}});
  const Forest::TreeView view = forest_.look_at(tree);
  if (view.tree == nullptr) {
    seen.ended = true;
    news.push_back({{"event", "tree_end"}, {"tree", tree}, {"active", false}, {"stopped", true}});
    return;
  }
  const std::vector<TraceNode>& thoughts = view.tree->nodes;
  seen.thoughts.resize(thoughts.size());
  for (std::size_t i = 0; i < thoughts.size(); ++i) {
    Json json = thought_to_json(thoughts[i]);
    std::string text = json.dump();
    if (text == seen.thoughts[i]) continue;
    seen.thoughts[i] = std::move(text);
    Json event = {{"event", "thought"}, {"tree", tree}, {"thought", i}};
    event.update(json);
    news.push_back(std::move(event));
  }
  if (!view.ended) return;
  seen.ended = true;
  news.push_back(end_of(*view.tree, tree));
}

}  // namespace kinglet::fot
