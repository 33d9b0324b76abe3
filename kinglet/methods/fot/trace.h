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

}  // namespace kinglet::fot
