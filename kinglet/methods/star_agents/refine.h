// A run: every seed is generated, scored and judged; what wins is kept and teaches the run whom to ask next (the
// paper's figure 2).
//
// Seeds go in waves that see the same probabilities and the same memory bank: wave w those after wave w - 1 - lag.
// Within a wave everything is independent, and waves are committed one after the other in a fixed order. So the result
// depends on the settings and the answers only, not on the order in which answers come: a run that is started again
// over the same answers (a ledger gives them back) comes to the same result.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "kinglet/methods/star_agents/embedder.h"
#include "kinglet/methods/star_agents/pair_probabilities.h"
#include "kinglet/methods/star_agents/score_cache.h"
#include "kinglet/methods/star_agents/seed_task.h"

namespace kinglet::star_agents {

struct RunModels {
  ChatModels chat;          // by name; every model that the settings speak of
  Scorer* small = nullptr;  // needed for Fit::kDual and kIfd
  Scorer* large = nullptr;  // for kDual
  ScoreCache* scores = nullptr;
  Embedder* embedder = nullptr;  // for the memory bank
  // Makes the models drop calls that were not sent yet; asked for when the run is interrupted, so that what is under
  // way, and will be paid, can still be received. May be missing.
  std::function<void()> stop_sending;
};

struct WaveState {
  std::size_t wave = 0;   // the one that was committed
  std::size_t seeds = 0;  // committed so far
  std::span<const double> probabilities;
  std::size_t remembered = 0;  // entries of the memory bank
};

struct RunObserver {
  std::function<void(const SeedOutcome&)> on_seed;  // in the order of commits
  std::function<void(const WaveState&)> on_wave;
  // What is going on, now and then: seeds that are done (committed or not) and open calls.
  std::function<void(std::size_t done, std::size_t open_calls)> on_progress;
};

// The order in which a run takes its seeds: by a hash, because a sorted file would bias the probabilities early.
std::vector<std::size_t> seed_order(const std::vector<Seed>& seeds, std::uint64_t run_seed);

// Raises Error: bad input for settings or models that do not fit; failed when a model takes no calls or a budget is
// used up (start again to go on); interrupted after answers under way were waited for, up to a minute, and the rest
// cancelled.
void refine(const std::vector<Seed>& seeds, const Settings& settings, const RunModels& models,
            const RunObserver& observer);

}  // namespace kinglet::star_agents
