// Results of forests as JSON: what a run file holds a line of.
#pragma once

#include "kinglet/methods/fot/forest.h"
#include "kinglet/text/json_text.h"

namespace kinglet::fot {

enum class TraceDetail {
  kBrief,  // trees without their nodes
  kFull,   // every thought with its score
};

// Text of the model is data: invalid UTF-8 is replaced, and long texts are cut.
Json result_to_json(const ForestResult& result, TraceDetail detail);

// One thought: {"parent", "layer", "kind", "text", "kept"} and, where there are any, "score", "corrected", "note".
Json thought_to_json(const TraceNode& node);
Json votes_to_json(const Tally& votes);  // [{"label", "votes"}]

}  // namespace kinglet::fot
