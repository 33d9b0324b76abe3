// One checkpoint on disk into a store; the original can be deleted once the store is known to hold it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "kinglet/io/checkpoint.h"
#include "kinglet/methods/excp/options.h"
#include "kinglet/methods/excp/store.h"

namespace kinglet::excp {

struct AddSettings {
  Options options;
  CheckpointOptions reading;
  bool verify = false;   // read the stored step back before it is committed
  bool replace = false;  // then delete the original; implies verify
};

// Adds the checkpoint at `path` as `step`, or as the step that the checkpoint itself tells. What the reader could not
// understand is added to the report's warnings.
// With `replace` the original is deleted after the step was verified and committed, and never when it changed
// meanwhile, is a link, or contains the store (Error).
AddReport add_checkpoint(Store& store, const std::filesystem::path& path, std::optional<std::int64_t> step,
                         const AddSettings& settings);

}  // namespace kinglet::excp
