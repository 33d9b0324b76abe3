#include "kinglet/methods/fot/refinement_tree.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kinglet::fot {

int RefinementTree::add(int parent) {
  const int number = size();
  nodes_.emplace_back().parent = parent;
  if (parent >= 0) nodes_[static_cast<std::size_t>(parent)].children.push_back(number);
  return number;
}

void RefinementTree::reward(int number, double value) {
  nodes_[static_cast<std::size_t>(number)].rewards.push_back(value / settings_.reward_scale);
}

void RefinementTree::update() {
  for (RefinementNode& one : nodes_) {
    if (one.rewards.empty()) {
      one.quality = 0;
      continue;
    }
    const double least = *std::min_element(one.rewards.begin(), one.rewards.end());
    const double sum = std::accumulate(one.rewards.begin(), one.rewards.end(), 0.0);
    one.quality = 0.5 * (least + sum / static_cast<double>(one.rewards.size()));
  }
  // Children have higher numbers than their parents.
  for (auto one = nodes_.rbegin(); one != nodes_.rend(); ++one) {
    one->value = one->quality;
    if (one->children.empty()) continue;
    double best = node(one->children.front()).value;
    for (const int child : one->children) best = std::max(best, node(child).value);
    one->value = 0.5 * (one->quality + best);
  }
  for (RefinementNode& one : nodes_) {
    const double parent_visits = one.parent < 0 ? 0 : static_cast<double>(node(one.parent).rewards.size());
    const double visits = static_cast<double>(one.rewards.size());
    one.bound = one.value + settings_.exploration * std::sqrt(std::log(parent_visits + 1) / (visits + 1e-5));
  }
}

bool RefinementTree::explorable(int number) const {
  const RefinementNode& one = node(number);
  if (one.children.size() < settings_.max_children) return true;
  return std::none_of(one.children.begin(), one.children.end(),
                      [&](int child) { return node(child).quality >= one.quality; });
}

int RefinementTree::select() const {
  int best = -1, best_of_all = -1;
  for (int number = 0; number < size(); ++number) {
    if (best_of_all < 0 || node(number).bound > node(best_of_all).bound) best_of_all = number;
    if (explorable(number) && (best < 0 || node(number).bound > node(best).bound)) best = number;
  }
  return best >= 0 ? best : best_of_all;
}

double RefinementTree::final_score(int number) const {
  const RefinementNode& one = node(number);
  if (one.rewards.empty()) return 0.2 * one.bound;
  const double least = *std::min_element(one.rewards.begin(), one.rewards.end());
  return 0.5 * least + 0.3 * static_cast<double>(one.rewards.size()) + 0.2 * one.bound;
}

int RefinementTree::best() const {
  int best = -1;
  for (int number = 0; number < size(); ++number) {
    if (best < 0 || final_score(number) > final_score(best)) best = number;
  }
  return best;
}

}  // namespace kinglet::fot
