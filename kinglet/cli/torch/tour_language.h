// The language stop of the tour: a small model learns a dictionary, is killed, goes on, and defines a word.
#pragma once

#include "kinglet/cli/torch/tour_report.h"
#include "kinglet/cli/tour_options.h"

namespace kinglet::cli {

void run_language_stop(const TourOptions& options, TourReport& report);

}  // namespace kinglet::cli
