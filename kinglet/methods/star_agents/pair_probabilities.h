// How likely each agent pair is drawn, and how that evolves (Star-Agents, eq. 8).
//
// A pair is an instruction agent with a response agent. All start equally likely; the pair of a rewarded sample gains
// beta times its score, then everything is normalised:
//   p_jk <- (p_jk + beta * score) / sum over all pairs
// With one sample a seed this is a replicator: the log-odds of two pairs grow by beta * (their mean scores'
// difference).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace kinglet::star_agents {

struct Reward {
  std::size_t pair = 0;
  double score = 0;  // composite score, 0 to 1
};

class PairProbabilities {
 public:
  // `floor`: no pair falls below it; 0 <= floor * pairs < 1. Raises Error (bad input) for no pairs or such a floor.
  explicit PairProbabilities(std::size_t pairs, double floor = 0);

  std::span<const double> values() const { return values_; }
  std::size_t size() const { return values_.size(); }

  // Adds every reward, then normalises once, so that the order of `rewards` does not matter. Without a positive reward
  // every value keeps its bits.
  void reward(std::span<const Reward> rewards, double beta);
  void reward(std::size_t pair, double score, double beta);

 private:
  void lift_to_floor();

  std::vector<double> values_;
  double floor_;
};

}  // namespace kinglet::star_agents
