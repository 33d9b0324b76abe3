// Sparse activation: which nodes of a layer go on.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace kinglet::fot {

struct ScoredNode {
  std::size_t index = 0;  // in the order of generation
  double score = 0;
  bool valid = true;  // only valid nodes are kept
};

// The `kept` best valid nodes, best first, equal ones in the order of generation. A `least` score leaves out those
// below it. An empty result ends its tree.
std::vector<std::size_t> active_nodes(std::vector<ScoredNode> nodes, std::size_t kept,
                                      std::optional<double> least = std::nullopt);

}  // namespace kinglet::fot
