// Drawing the agent pairs of one seed (Star-Agents, eq. 3 and section 3.3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kinglet/base/rng.h"

namespace kinglet::star_agents {

// The random numbers of one decision about one seed. They depend on nothing else, so neither the order in which answers
// arrive nor a restart changes them.
Rng stream_of(std::uint64_t run_seed, std::string_view seed_id, std::string_view decision);

// Up to `count` different members of `from` (indices into `weights`), one after the other, each with its weight among
// those left; takes one uniform number a draw. Fewer come only when fewer have a positive weight.
std::vector<std::size_t> draw_different(std::span<const double> weights, std::vector<std::size_t> from,
                                        std::size_t count, Rng& rng);

struct DrawPlan {
  std::size_t samples = 5;    // M: pairs a seed
  std::size_t retrieved = 2;  // l: of them, those that come from the pairs of similar seeds
};

// `remembered`: the pairs of the most similar seeds in the memory bank (may repeat; empty without a bank). Up to
// `plan.retrieved` are drawn among them, the rest among all pairs not drawn yet. `available` (empty: all) marks pairs
// that can be called; probabilities are renormalised over them. The result holds different pairs, in drawing order.
std::vector<std::size_t> draw_pairs(std::span<const double> probabilities, std::span<const std::size_t> remembered,
                                    const std::vector<bool>& available, const DrawPlan& plan, Rng& rng);

}  // namespace kinglet::star_agents
