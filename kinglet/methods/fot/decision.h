// The end of a forest: consensus where there is one, the expert where there is none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kinglet/methods/fot/tree.h"
#include "kinglet/methods/fot/vote.h"

namespace kinglet::fot {

struct DecisionResult {
  std::string by;  // as in ForestResult::decided_by
  std::optional<std::string> label;
  std::string text;
  std::string expert_text;
};

// `trees` and `votes` outlive the search.
Search<DecisionResult> make_decision(TreeContext& context, const std::vector<TreeResult>& trees, const Tally& votes);

}  // namespace kinglet::fot
