#include "kinglet/methods/star_agents/draw.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "kinglet/base/hash.h"

namespace kinglet::star_agents {

Rng stream_of(std::uint64_t run_seed, std::string_view seed_id, std::string_view decision) {
  // Lengths keep ("ab", "c") and ("a", "bc") apart.
  const std::string key = fmt::format("{} {} {} {} {}", run_seed, seed_id.size(), seed_id, decision.size(), decision);
  return Rng(xxh3(as_bytes(key)));
}

std::vector<std::size_t> draw_different(std::span<const double> weights, std::vector<std::size_t> from,
                                        std::size_t count, Rng& rng) {
  std::erase_if(from, [&](std::size_t i) { return !(weights[i] > 0); });
  std::vector<std::size_t> drawn;
  while (drawn.size() < count && !from.empty()) {
    double sum = 0;
    for (const std::size_t i : from) sum += weights[i];
    double at = rng.uniform() * sum;
    std::size_t chosen = from.size() - 1;  // where rounding leaves `at` behind the last one
    for (std::size_t k = 0; k < from.size(); ++k) {
      at -= weights[from[k]];
      if (at < 0) {
        chosen = k;
        break;
      }
    }
    drawn.push_back(from[chosen]);
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(chosen));
  }
  return drawn;
}

std::vector<std::size_t> draw_pairs(std::span<const double> probabilities, std::span<const std::size_t> remembered,
                                    const std::vector<bool>& available, const DrawPlan& plan, Rng& rng) {
  const auto can_be_called = [&](std::size_t pair) { return available.empty() || available[pair]; };
  std::vector<std::size_t> pool;
  for (const std::size_t pair : remembered) {
    if (can_be_called(pair)) pool.push_back(pair);
  }
  std::sort(pool.begin(), pool.end());
  pool.erase(std::unique(pool.begin(), pool.end()), pool.end());

  std::vector<std::size_t> drawn =
      draw_different(probabilities, std::move(pool), std::min(plan.retrieved, plan.samples), rng);
  std::vector<std::size_t> rest;
  for (std::size_t pair = 0; pair < probabilities.size(); ++pair) {
    if (can_be_called(pair) && std::find(drawn.begin(), drawn.end(), pair) == drawn.end()) rest.push_back(pair);
  }
  const std::vector<std::size_t> more =
      draw_different(probabilities, std::move(rest), plan.samples - drawn.size(), rng);
  drawn.insert(drawn.end(), more.begin(), more.end());
  return drawn;
}

}  // namespace kinglet::star_agents
