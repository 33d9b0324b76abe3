// Options of the commands that carry out a recipe (`kinglet train`, `kinglet distill`), shared by the parser and the
// module that runs them.
#pragma once

#include <CLI/CLI.hpp>
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

// Adds them to a command. `page` documents the recipe's keys; `prepared` is what --dry-run makes before it stops.
// `options` must outlive the command.
void add_train_options(CLI::App& command, TrainOptions& options, const std::string& page, const std::string& prepared);

}  // namespace kinglet::cli
