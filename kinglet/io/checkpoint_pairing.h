// Weights with their moments: from state dicts, ZeRO vectors and distributed tensors to the list of parameters.
#pragma once

#include <string>
#include <vector>

#include "kinglet/io/checkpoint.h"
#include "kinglet/io/checkpoint_layout.h"

namespace kinglet {

struct PairedParameters {
  std::vector<Parameter> parameters;
  OptimizerKind optimizer = OptimizerKind::kNone;
  std::string rule;  // how parameters and moments were matched; empty without an optimizer
  std::vector<std::string> notes;
};

// Raises Error (bad input) when an optimizer cannot be paired with any weights (parameter_order.h).
PairedParameters pair_parameters(const CheckpointFiles& files, const CheckpointOptions& options);

}  // namespace kinglet
