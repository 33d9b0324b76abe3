// The tour's stop at distillation: MGSR against plain distillation, from one teacher and for equally many steps.
#pragma once

#include "kinglet/cli/torch/tour_report.h"
#include "kinglet/cli/tour_options.h"

namespace kinglet::cli {

void run_distill_stop(const TourOptions& options, TourReport& report);

}  // namespace kinglet::cli
