// The report of a run as one HTML page: no scripts, nothing to fetch.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kinglet/methods/star_agents/statistics.h"

namespace kinglet::star_agents {

// `facts`: lines of the table at the top, name and value ("cost", "1.20 USD"), behind what the statistics know.
std::string report_html(const RunStatistics& statistics, const std::string& title,
                        const std::vector<std::pair<std::string, std::string>>& facts);

}  // namespace kinglet::star_agents
