// The options of `kinglet ckpt add`, `pack` and `watch` that say how a checkpoint is compressed.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "kinglet/methods/excp/add_checkpoint.h"

namespace kinglet::cli {

// As given on the command line; what was not given keeps the method's default.
struct CompressionArguments {
  bool lossless = false, paper = false;
  std::optional<double> lambda, alpha, target_sparsity, beta;
  std::string bits, scope, coder;
  bool exact_1d = false, fill_pruned = false, median_of_nonzeros = false;
  bool no_joint_mask = false;  // for experiments
  std::optional<int> key_every;
  bool allow_nonfinite = false;
  bool verify = false, replace = false;
  std::string param_order;
  bool trust_order = false;
};

void add_compression_options(CLI::App& command, CompressionArguments& arguments);

// Raises Error (bad input) naming the option and its range.
excp::AddSettings to_settings(const CompressionArguments& arguments);

}  // namespace kinglet::cli
