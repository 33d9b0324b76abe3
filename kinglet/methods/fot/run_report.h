// A run as a page to look at: trees that grow, scores, corrections, pruned thoughts, votes, and where the search
// stopped.
#pragma once

#include <string>
#include <vector>

#include "kinglet/text/json_text.h"

namespace kinglet::fot {

struct ReportOptions {
  std::size_t most_questions = 60;  // of an arm; wrong ones first where answers are known
};

// One HTML file without scripts and without anything to fetch. Records are data of unknown origin: whatever they hold
// is shown as text. Raises Error (bad input) for records that no run writes.
std::string html_report(const Json& header, const std::vector<Json>& records, const ReportOptions& options = {});

// One tree of a record as an SVG picture.
std::string tree_svg(const Json& tree, int number);

}  // namespace kinglet::fot
