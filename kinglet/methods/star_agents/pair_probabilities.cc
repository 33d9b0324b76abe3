#include "kinglet/methods/star_agents/pair_probabilities.h"

#include <algorithm>
#include <cassert>
#include <numeric>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet::star_agents {
namespace {

void normalize(std::vector<double>& values) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  for (double& value : values) value /= sum;
}

}  // namespace

PairProbabilities::PairProbabilities(std::size_t pairs, double floor) : floor_(floor) {
  if (pairs == 0) throw bad_input("", "no agent pair to draw from", "list at least one pair");
  if (!(floor >= 0) || floor * static_cast<double>(pairs) >= 1) {
    throw bad_input("", fmt::format("a floor of {} under {} pairs leaves nothing to learn", floor, pairs),
                    "give 0.1 / pairs or less");
  }
  values_.assign(pairs, 1.0 / static_cast<double>(pairs));
}

void PairProbabilities::reward(std::span<const Reward> rewards, double beta) {
  std::vector<double> gain(values_.size(), 0.0);
  bool any = false;
  for (const Reward& reward : rewards) {
    assert(reward.pair < values_.size() && reward.score >= 0);
    gain[reward.pair] += beta * reward.score;
    any |= beta * reward.score > 0;
  }
  if (!any) return;
  for (std::size_t i = 0; i < values_.size(); ++i) values_[i] += gain[i];
  normalize(values_);
  if (floor_ > 0) lift_to_floor();
}

void PairProbabilities::reward(std::size_t pair, double score, double beta) {
  const Reward one{pair, score};
  reward(std::span(&one, 1), beta);
}

// Pairs below the floor are set to it; the others share what is left in their proportions, which can push another one
// below, so this repeats (at most once a pair).
void PairProbabilities::lift_to_floor() {
  std::vector<bool> at_floor(values_.size(), false);
  for (bool changed = true; changed;) {
    changed = false;
    double free_sum = 0, free_share = 1;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (!at_floor[i] && values_[i] < floor_) at_floor[i] = changed = true;
      if (at_floor[i])
        free_share -= floor_;
      else
        free_sum += values_[i];
    }
    if (!changed) return;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      values_[i] = at_floor[i] ? floor_ : values_[i] * free_share / free_sum;
    }
  }
}

}  // namespace kinglet::star_agents
