// A copy of a checkpoint in its own layout with other numbers in some of its regions.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "kinglet/io/checkpoint.h"

namespace kinglet {

// The new bytes of a region, as many as the old ones; nothing: they stay.
using RegionSource = std::function<std::optional<Bytes>(RegionRef)>;

// Writes the copy to `out`, a new folder or (single-file checkpoints) a new file, atomically; checksums of changed
// regions are brought up to date. `replace` is called once for every region, in file order.
// Raises Error (bad input) when `out` exists.
void write_checkpoint_copy(const Checkpoint& checkpoint, const std::filesystem::path& out, const RegionSource& replace);

}  // namespace kinglet
