// A language model on this machine as a scorer of responses, loaded through the module with LibTorch.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "kinglet/methods/star_agents/scorer.h"

namespace kinglet::cli {

struct ScorerOptions {
  std::string model;                  // a Hugging Face folder
  std::size_t window = 2048;          // tokens, at most the model's positions
  std::string unconditional = "bos";  // what stands before the response without its instruction: bos, template, none
  bool plain = false;                 // "instruction\n" in place of the model's chat template
  bool batched = false;  // texts side by side: faster; a score may then differ in the last digits with its neighbours
};

using ScorerEntry = star_agents::Scorer*(const ScorerOptions&);
inline constexpr const char* kScorerEntryName = "kinglet_make_scorer";

// Raises Error when the module, LibTorch or the model is missing.
std::unique_ptr<star_agents::Scorer> load_scorer(const ScorerOptions& options);

}  // namespace kinglet::cli
