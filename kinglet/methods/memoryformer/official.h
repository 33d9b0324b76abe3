// Checkpoints of the authors' code (a fork of GPT-NeoX): a folder of layer_NN-model_00-model_states.pt, one a module of
// the pipeline. No code of the files runs (io/torch_file.h).
#pragma once

#include <filesystem>
#include <memory>

#include "kinglet/methods/memoryformer/memoryformer.h"

namespace kinglet {

// What their files do not say.
struct OfficialSettings {
  std::int64_t num_heads = 8;
  std::int64_t max_positions = 2048;
  double rotary_part = 0.25;
  MemoryWeighting weighting{MemoryScore::kSumProb, 1.0};
};

// Bits and expanding bits follow from the shapes. Tables are turned from the highest bit first to the lowest. Raises
// Error (bad input) naming the file for missing modules or tensors, shapes that do not fit, and models that were split
// over several devices.
std::shared_ptr<Decoder> load_official_memoryformer(const std::filesystem::path& folder,
                                                    const OfficialSettings& settings);

}  // namespace kinglet
