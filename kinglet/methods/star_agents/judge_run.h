// The judge alone: two sets of answers to the same questions compared, both orders each.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kinglet/llm/chat_model.h"
#include "kinglet/methods/star_agents/settings.h"

namespace kinglet::star_agents {

struct Comparison {
  std::string id;                // part of the slots; differs between comparisons
  JudgedAnswer base, candidate;  // views: their texts must outlive the run
};

struct ComparisonResult {
  std::optional<Verdict> shown_first, shown_second;  // by the place of the candidate; nothing: no verdict, even when
                                                     // asked once more, or not asked
  std::optional<double> score;                       // of the candidate: 1, 0.5, 0; nothing without verdicts
};

// One result a comparison, in their order; equal texts are a tie without a call. `run_seed` draws the order when only
// one is asked for. Raises Error (failed) when the model takes no calls, (interrupted) after cancelling what is open.
std::vector<ComparisonResult> judge_all(ChatModel& model, std::span<const Comparison> comparisons,
                                        const JudgeSettings& settings, std::uint64_t run_seed,
                                        const std::function<void()>& on_done = {});

}  // namespace kinglet::star_agents
