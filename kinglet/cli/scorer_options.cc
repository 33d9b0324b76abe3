#include "kinglet/cli/scorer_options.h"

#include "kinglet/cli/torch_module.h"

namespace kinglet::cli {

std::unique_ptr<star_agents::Scorer> load_scorer(const ScorerOptions& options) {
  return std::unique_ptr<star_agents::Scorer>(
      reinterpret_cast<ScorerEntry*>(find_torch_entry(kScorerEntryName))(options));
}

}  // namespace kinglet::cli
