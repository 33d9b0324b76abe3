// Writing a decoded step to disk in the user's own layout.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kinglet/methods/excp/step_chain.h"
#include "kinglet/methods/excp/store.h"

namespace kinglet::excp {

// See Store::get. Errors: Error (bad input) when `out` exists or options do not fit the step, Error (failed) for
// damage.
std::vector<std::string> restore_step(const StepChain& chain, const std::filesystem::path& out,
                                      const GetOptions& options);

}  // namespace kinglet::excp
