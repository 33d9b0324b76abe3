// Decoding without writing: does everything that is stored reconstruct to what its hashes say?
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kinglet/io/checkpoint.h"
#include "kinglet/methods/excp/step_chain.h"

namespace kinglet::excp {

// Decodes every step of the chain once. Returns the first problem of each step that has one.
std::map<std::int64_t, std::string> verify_chain(const StepChain& chain);

// Decodes chain.newest(), which was just made from `checkpoint`: everything that is coded without loss must equal the
// original to the last byte. Raises Error (failed) naming the file and offset of the first difference.
void verify_against(const StepChain& chain, const Checkpoint& checkpoint);

}  // namespace kinglet::excp
