// Everything that decides the result of a run, and what one seed of it came to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/llm/chat_model.h"
#include "kinglet/methods/star_agents/agents.h"
#include "kinglet/methods/star_agents/draw.h"
#include "kinglet/methods/star_agents/dual_score.h"
#include "kinglet/methods/star_agents/judge.h"
#include "kinglet/methods/star_agents/memory_bank.h"
#include "kinglet/methods/star_agents/selection.h"

namespace kinglet::star_agents {

// What says whether an answer fits the target.
enum class Fit {
  kDual,  // the gap of two scorers
  kIfd,   // IFD of the small scorer alone: what is hard for it (Cherry's rule)
  kNone,  // every candidate fits; the judge decides alone
};

struct JudgeSettings {
  std::string model;
  bool both_orders = true;  // else one, drawn
  Sampling sampling;
};

struct Settings {
  std::vector<InstructionAgent> instruction_agents;
  std::vector<ResponseAgent> response_agents;
  std::vector<AgentPair> pairs;           // the sampled ones
  std::optional<std::size_t> base_agent;  // response agent of the base answers; nothing: the seed's own response
  std::optional<JudgeSettings> judge;     // nothing: every candidate counts as better than the base
  Fit fit = Fit::kDual;
  DualOptions dual;
  bool base_competes = true;
  bool lazy_judging = true;

  double beta = 1e-4;
  double floor = 0;         // under the probabilities
  bool reward_all = false;  // every candidate with a score, not only the winner
  DrawPlan draw;
  bool use_memory = true;
  MemoryOptions memory;

  std::uint64_t run_seed = 0;
  std::size_t wave = 64;  // seeds that see the same probabilities
  std::size_t lag = 1;    // waves that may be open besides the one that is committed next
};

// Raises Error (bad input) for settings that contradict each other, before anything costs. Returns warnings.
std::vector<std::string> check_settings(const Settings& settings);

std::string pair_name(const Settings& settings, std::size_t pair);  // "deepen+mistral", or "mistral" for the identity

struct CandidateOutcome {
  std::optional<std::size_t> pair;  // nothing: the base answer
  std::string instruction;
  std::string response;
  std::string problem;     // why it cannot be kept; empty when it can
  double probability = 0;  // of the pair when it was drawn

  Likelihoods small, large;
  std::optional<double> gap;
  double dual = 0;
  std::optional<double> judge;                       // nothing: not compared
  std::optional<Verdict> shown_first, shown_second;  // the verdicts, by the place of the candidate
  double composite = 0;

  std::string slot;  // of the answer's call; empty for the seed's own
  std::string model;
  std::string fingerprint;
  std::string finish_reason;
  TokenUsage usage;
};

struct SeedOutcome {
  std::size_t seed = 0;                      // index into the seeds
  std::vector<CandidateOutcome> candidates;  // the base first
  Choice choice;
  std::size_t judge_calls = 0;  // comparisons that were asked for, one an order
  std::size_t verdicts_missing = 0;
  std::map<std::string, TokenUsage> usage;  // by role: "rewrite", "answer", "judge"

  const CandidateOutcome& winner() const { return candidates[choice.winner]; }
};

}  // namespace kinglet::star_agents
