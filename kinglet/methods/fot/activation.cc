#include "kinglet/methods/fot/activation.h"

#include <algorithm>
#include <cmath>

namespace kinglet::fot {

std::vector<std::size_t> active_nodes(std::vector<ScoredNode> nodes, std::size_t kept, std::optional<double> least) {
  std::erase_if(nodes, [&](const ScoredNode& node) {
    return !node.valid || !std::isfinite(node.score) || (least && node.score < *least);
  });
  std::stable_sort(nodes.begin(), nodes.end(),
                   [](const ScoredNode& a, const ScoredNode& b) { return a.score > b.score; });
  if (nodes.size() > kept) nodes.resize(kept);
  std::vector<std::size_t> indices;
  for (const ScoredNode& node : nodes) indices.push_back(node.index);
  return indices;
}

}  // namespace kinglet::fot
