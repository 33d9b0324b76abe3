// The tour's Star-Agents stop: dictionary answers, part of them spoiled, are refined by simulated agents and a judge
// that errs, beside what every agent alone, and chance, would have given.
#pragma once

#include "kinglet/cli/torch/tour_report.h"
#include "kinglet/cli/tour_options.h"

namespace kinglet::cli {

void run_refine_stop(const TourOptions& options, TourReport& report);

}  // namespace kinglet::cli
