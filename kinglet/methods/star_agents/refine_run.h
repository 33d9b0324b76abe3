// A run with its folder: what `kinglet refine` leaves behind.
//
//   refined.jsonl     one record a seed, in the order of the data, with its provenance
//   candidates.jsonl  every candidate with its scores, in the order in which seeds were finished
//   rejected.jsonl    records of the data that could not be used: {"line", "reason"}
//   p_history.csv     the probability of every pair behind each wave
//   report.html, summary.json
//   scores.jsonl      scores, for a run that goes on
//
// But for scores.jsonl and rejected.jsonl the files appear, each whole, when the run is done. A run that was stopped
// goes on by being run again: calls that were answered come from the models' ledger, scores from scores.jsonl.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kinglet/methods/star_agents/refine_recipe.h"
#include "kinglet/methods/star_agents/statistics.h"

namespace kinglet::star_agents {

struct FolderRun {
  const RefineRecipe& recipe;
  const SeedFile& seeds;
  std::filesystem::path folder;
  std::string title;
  // Facts for the report, asked for at the end: costs, time.
  std::function<std::vector<std::pair<std::string, std::string>>()> facts;
  std::function<void(std::size_t done, std::size_t open_calls)> on_progress;
};

// `models` without `scores` and `embedder`, which the folder brings. Raises what refine() raises.
RunStatistics run_in_folder(const FolderRun& run, RunModels models);

// What a run will ask for, at most, before anything is asked.
struct ExpectedCalls {
  std::int64_t calls = 0;
  std::int64_t prompt_tokens = 0, completion_tokens = 0;  // guessed from text lengths
};
// By (model, role). Each pair is taken to be drawn as often as the others; judges to compare every candidate.
std::map<std::pair<std::string, std::string>, ExpectedCalls> expected_calls(const RefineRecipe& recipe,
                                                                            const std::vector<Seed>& seeds);

}  // namespace kinglet::star_agents
