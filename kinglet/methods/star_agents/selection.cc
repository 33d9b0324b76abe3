#include "kinglet/methods/star_agents/selection.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <tuple>
#include <utility>

namespace kinglet::star_agents {

Choice choose(std::span<const Candidate> candidates, std::span<const std::optional<double>> judge, bool base_competes) {
  assert(!candidates.empty() && judge.size() == candidates.size());
  constexpr double kBaseJudge = 0.5;  // as good as itself
  const double base_composite = candidates[0].usable ? kBaseJudge * candidates[0].dual : 0;
  const Choice base{0, kBaseJudge, base_composite > 0 ? base_composite : 0};
  Choice best = base;
  bool base_leads = base_competes && base.composite > 0;
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    const double verdict = judge[i].value_or(0);
    const double composite = candidates[i].usable ? verdict * candidates[i].dual : 0;
    if (!(composite > 0)) continue;
    const bool first = best.winner == 0 && !base_leads;
    const auto rank = [&](const Choice& one) {
      return std::tuple(one.composite, one.judge, candidates[one.winner].gap);
    };
    const Choice challenger{i, verdict, composite};
    if (first || rank(challenger) > rank(best)) best = challenger;
  }
  return best;
}

LazyJudging::LazyJudging(std::vector<Candidate> candidates, bool base_competes)
    : candidates_(std::move(candidates)), judge_(candidates_.size()), base_competes_(base_competes) {
  assert(!candidates_.empty());
  order_.resize(candidates_.size() - 1);
  std::iota(order_.begin(), order_.end(), std::size_t{1});
  std::stable_sort(order_.begin(), order_.end(),
                   [&](std::size_t a, std::size_t b) { return candidates_[a].dual > candidates_[b].dual; });
  judge_[0] = 0.5;
  for (std::size_t i = 1; i < candidates_.size(); ++i) {
    if (candidates_[i].text == candidates_[0].text) judge_[i] = 0.5;
  }
}

bool LazyJudging::open(std::size_t candidate) const {
  return !judge_[candidate] && candidates_[candidate].usable && candidates_[candidate].dual > 0;
}

std::optional<std::size_t> LazyJudging::next() const {
  const Choice best = choice();
  for (const std::size_t candidate : order_) {
    if (!open(candidate)) continue;
    // The base leads by its score only where it competes.
    const double reached = best.winner == 0 && !base_competes_ ? 0 : best.composite;
    if (reached > candidates_[candidate].dual) return std::nullopt;
    return candidate;
  }
  return std::nullopt;
}

std::vector<std::size_t> LazyJudging::all_open() const {
  std::vector<std::size_t> result;
  for (const std::size_t candidate : order_) {
    const bool asked = std::any_of(result.begin(), result.end(), [&](std::size_t other) {
      return candidates_[other].text == candidates_[candidate].text;
    });
    if (open(candidate) && !asked) result.push_back(candidate);
  }
  return result;
}

void LazyJudging::record(std::size_t candidate, double judge) {
  for (std::size_t i = 1; i < candidates_.size(); ++i) {
    if (candidates_[i].text == candidates_[candidate].text) judge_[i] = judge;
  }
}

Choice LazyJudging::choice() const { return choose(candidates_, judge_, base_competes_); }

}  // namespace kinglet::star_agents
