// The cost of a MemoryFormer as the paper counts it: K (tau + h) multiply-adds a token and Memory Layer.
#pragma once

#include "kinglet/methods/memoryformer/config.h"
#include "kinglet/models/decoder/cost.h"

namespace kinglet {

// The hash is counted with every one of the layers that share it, as in the paper.
ModelCost memoryformer_cost(const MemoryFormerConfig& config, std::int64_t tokens);

// Of a model folder or its config.json, of any kind. Raises Error (bad input) when it is neither.
ModelCost read_model_cost(const std::filesystem::path& path, std::int64_t tokens);

}  // namespace kinglet
