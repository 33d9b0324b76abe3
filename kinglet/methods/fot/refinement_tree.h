// The arithmetic of Monte-Carlo tree self-refine: a node is a whole answer, its rewards say how good it looks, and the
// node with the highest bound is refined next.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace kinglet::fot {

struct RefinementNode {
  int parent = -1;  // -1: a root
  std::vector<int> children;
  std::vector<double> rewards;
  double quality = 0;  // half of (least + mean reward); 0 without rewards
  double value = 0;    // quality, averaged with that of the best child where there are children
  double bound = 0;    // value + exploration
};

struct RefinementSettings {
  double exploration = 1.4;  // C
  double reward_scale = 1;   // rewards are divided by it, so that C means something for rewards of 0..100
  std::size_t max_children = 3;
};

class RefinementTree {
 public:
  explicit RefinementTree(RefinementSettings settings = {}) : settings_(settings) {}

  int add(int parent);                  // the number of the new node; -1 for a root
  void reward(int node, double value);  // appends; bounds are as before until update()

  // Qualities, values from the leaves up, and bounds: value + C sqrt(ln(N(parent) + 1) / (N + 1e-5)), N = rewards.
  void update();

  // The node to refine: the highest bound of those with few children or no child better than themselves; of equal ones
  // the first. When none is left, the highest bound of all.
  int select() const;
  bool explorable(int node) const;

  // The tree's answer: the highest 0.5 least reward + 0.3 number of rewards + 0.2 bound.
  int best() const;
  double final_score(int node) const;

  const RefinementNode& node(int number) const { return nodes_[static_cast<std::size_t>(number)]; }
  int size() const { return static_cast<int>(nodes_.size()); }

 private:
  RefinementSettings settings_;
  std::vector<RefinementNode> nodes_;
};

}  // namespace kinglet::fot
