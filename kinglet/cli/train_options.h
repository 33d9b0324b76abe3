// Options of `kinglet train`, shared by the parser and the module that runs it.
#pragma once

#include <string>
#include <vector>

namespace kinglet::cli {

struct TrainOptions {
  std::string recipe;
  std::string out;                // empty: runs/<name>
  std::vector<std::string> sets;  // --set key=value
  bool allow_changes = false;
  bool dry_run = false;
  bool print_recipe = false;
};

}  // namespace kinglet::cli
