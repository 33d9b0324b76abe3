// Checkpoints of any size without training: one fp32 weight matrix and its Adam moments, written as the Trainer leaves
// them (model.safetensors, optimizer.pt), block by block, the same bytes in every run.
#pragma once

#include <cstdint>
#include <filesystem>

namespace kinglet::bench {

// Writes the folder `checkpoint`. Between consecutive steps the weights move along the moments of the later step, with
// noise and heavy tails. Needs 24 bytes of disk an element while it works, 12 afterwards, and little memory.
void write_synthetic_checkpoint(const std::filesystem::path& checkpoint, std::uint64_t elements, std::int64_t step);

}  // namespace kinglet::bench
