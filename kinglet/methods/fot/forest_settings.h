// How a forest searches. Two runs with equal settings, questions and replies are equal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/methods/fot/game24_step.h"
#include "kinglet/methods/fot/vote.h"
#include "kinglet/text/json_text.h"

namespace kinglet::fot {

enum class Base { kIo, kCot, kTotBfs, kTotDfs, kMctsr };
std::string_view name_of(Base base);       // "io", "cot", "tot-bfs", "tot-dfs", "mctsr"
Base base_of_name(std::string_view name);  // raises Error (bad input)

enum class Decision {
  kCged,      // the vote; where it is a tie, the expert
  kMajority,  // the vote; where it is a tie, the first tree
  kScore,     // the tree with the highest score
  kRandom,    // any active tree
  kExpert,    // always the expert
};
std::string_view name_of(Decision decision);
Decision decision_of_name(std::string_view name);  // raises Error (bad input)

struct ForestSettings {
  Base base = Base::kCot;
  int trees = 4;
  int width = 0;  // trees that run at once; 0: as many as surely are needed
  StopPolicy stop;
  Decision decision = Decision::kCged;
  std::uint64_t seed = 0;

  // Diversification of the input from the second tree on.
  bool shuffle = true;        // game24: another order of the numbers
  bool examples = true;       // others: the next-nearest solved example before the question
  bool same_example = false;  // always the nearest one, as the published code does

  // Dynamic self-correction.
  bool correction = true;                    // of answers
  double tau = 0.5;                          // confidence below which an answer is asked for again; (0, 1]
  StepRules step_rules = StepRules::kExact;  // of game24's steps
  bool allow_fractions = false;              // steps of game24 may leave fractions

  // Trees.
  int kept = 5;                  // nodes a layer that stay active
  bool drop_impossible = false;  // nodes with the verdict "impossible" are never kept
  int proposals = 1;             // game24: replies with steps that are asked for from each state
  int rollouts = 1;              // mctsr
  int max_children = 3;          // mctsr
  double exploration = 1.4;      // mctsr
  double reward_scale = 1;       // mctsr
  double accept_reward = 95;     // mctsr: a first answer with a higher reward ends the tree; 100: never
  int branch = 3;                // tot: steps that are proposed for a state
  int depth = 8;                 // tot
  double end_gate = 0.9;         // tot: a step of this value ends the search

  // Calls.
  double temperature = 0.95;
  std::optional<double> top_p;
  std::int64_t max_tokens = 1024;
  std::int64_t expert_max_tokens = 4096;
  std::vector<std::string> stop_texts;  // any of them ends a reply, and is no part of it; at most 16, none empty
  bool expert_may_answer = false;       // an expert's answer that is none of the candidates counts
  bool fallback = false;                // one plain call when no tree is active
  bool compact_prompts = false;         // game24: for a model that was trained on the steps
  // Limits of a question; 0: none. No call is begun beyond them, the vote is held with what is there.
  std::int64_t most_calls = 0;
  std::int64_t most_tokens = 0;  // completion tokens
};

// Raises Error (bad input) that names the field.
void check(const ForestSettings& settings);

Json settings_to_json(const ForestSettings& settings);

// "cot", "sc:9", "io:4", "fot-cot:4", "fot-mctsr:4", "fot-tot-bfs:8", "mctsr" ...: `settings` with the base, the number
// of trees and (for sc) plain voting over equal prompts. Raises Error (bad input).
ForestSettings arm_settings(std::string_view arm, const ForestSettings& settings);

}  // namespace kinglet::fot
