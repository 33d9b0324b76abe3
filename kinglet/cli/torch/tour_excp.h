// The tour's ExCP stop: a classifier is trained on Fashion-MNIST, its checkpoints are packed, verified, restored, and
// training resumes from the restored ones, beside the controls.
#pragma once

#include "kinglet/cli/torch/tour_report.h"
#include "kinglet/cli/tour_options.h"

namespace kinglet::cli {

void run_excp_stop(const TourOptions& options, TourReport& report);

}  // namespace kinglet::cli
