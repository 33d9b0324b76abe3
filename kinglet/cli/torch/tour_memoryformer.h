// The tour's stop at MemoryFormer: a decoder of look-ups and its dense twin learn the same dictionary.
#pragma once

#include "kinglet/cli/torch/tour_report.h"
#include "kinglet/cli/tour_options.h"

namespace kinglet::cli {

// Reads the data and the tokenizer of the language stop, which comes before it (tour_language.h).
void run_memoryformer_stop(const TourOptions& options, TourReport& report);

}  // namespace kinglet::cli
