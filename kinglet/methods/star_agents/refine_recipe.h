// The recipe of `kinglet refine`: everything but how its models are reached ([[model]], [budget]), which the caller
// reads. docs/star-agents.md lists the keys.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "kinglet/io/recipe_reader.h"
#include "kinglet/methods/star_agents/settings.h"

namespace kinglet::star_agents {

struct RefineRecipe {
  std::filesystem::path data;
  SeedOptions seed_options;
  DocumentFormat output_format = DocumentFormat::kDetect;  // that of the data
  bool provenance = true;                                  // beside each kept record

  Settings settings;
  std::string small_scorer, large_scorer;  // model folders; empty where settings.fit does without
  std::string unconditional_context;       // "bos", "template" or "none"
  std::size_t score_window = 2048;         // tokens
  std::size_t embedding_dimension = 512;
  std::size_t expected_answer_tokens = 0;  // for the estimate of a dry run; 0: as long as the data's answers
};

// Raises Error (bad input) with the place for wrong types, ranges, unknown agents and contradictions.
RefineRecipe read_refine_recipe(RecipeTable root);

// What decides the results, as a text: the resolved recipe without what may change while a run goes on (limits, prices,
// addresses, the budget, what is written), and the data.
std::string fingerprint_of(const RecipeValue::Table& resolved, const SeedFile& seeds);

}  // namespace kinglet::star_agents
