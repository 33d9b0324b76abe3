// A step's reconstruction written anew as a key frame.
#pragma once

#include "kinglet/methods/excp/step_chain.h"

namespace kinglet::excp {

// Writes chain.newest() so that it needs no parent: weights as their fp32 reconstruction (or as they are where they are
// stored without loss), everything else as restored. Returns the index for StepWriter::finish; its content_hash is that
// of chain.newest(), so steps made from it stay valid.
StepIndex encode_as_key(const StepChain& chain, StepWriter& writer);

}  // namespace kinglet::excp
