// The stop of the tour for Forest-of-Thought: puzzles that the built-in model was not trained on, answered by one
// sample and by forests.
#pragma once

#include "kinglet/cli/torch/tour_report.h"
#include "kinglet/cli/tour_options.h"

namespace kinglet::cli {

void run_reasoning_stop(const TourOptions& options, TourReport& report);

}  // namespace kinglet::cli
