// Decodes all of a step, in parallel, and hands the pieces on.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kinglet/methods/excp/step_chain.h"
#include "kinglet/methods/excp/step_decoder.h"

namespace kinglet::excp {

// What to decode.
struct Selection {
  std::function<bool(const StoredFile&)> file;            // empty: every file
  std::function<bool(const StoredParameter&)> parameter;  // empty: every parameter that lies in a selected file
  bool skeletons_and_other_arrays = true;
};

// Where damage was found and what it hit.
struct Damage {
  std::string problem;             // one line
  std::vector<RegionRef> regions;  // block `block` of these arrays
  std::uint64_t block = 0;
};

// chain.newest() through `deliver`, which is called by several threads at once. on_damage: called (by one thread at a
// time) for every piece that does not verify, decoding goes on; when it is empty the first Error is thrown. label: of
// the progress bar.
void decode_step(const StepChain& chain, const Selection& selection, const Deliver& deliver, const std::string& label,
                 const std::function<void(const Damage&)>& on_damage = {});

}  // namespace kinglet::excp
