// From a checkpoint to one step's container: which tensors become deltas, which stay lossless, and their coding.
#pragma once

#include <cstdint>
#include <string>

#include "kinglet/base/progress.h"
#include "kinglet/io/checkpoint.h"
#include "kinglet/methods/excp/options.h"
#include "kinglet/methods/excp/reference_cache.h"
#include "kinglet/methods/excp/step_chain.h"

namespace kinglet::excp {

struct EncodeInput {
  const Checkpoint& checkpoint;
  std::int64_t step = 0;
  const Options& options;
  const StepChain* parent = nullptr;  // nothing: a key frame, everything lossless
  std::string key_reason;             // why it is one
};

// Writes all payloads and returns the index for StepWriter::finish. reference: in: the parent's reconstruction, out:
// this step's. Raises Error (bad input) naming the tensor for values that cannot be stored.
StepIndex encode_step(const EncodeInput& input, ReferenceCache& reference, StepWriter& writer, Progress& progress);

// Where `checkpoint` could not be a delta to `parent`: the share of its weights' bytes that have no tensor of the same
// name, shape and type there.
double changed_share(const Checkpoint& checkpoint, const StepIndex& parent);

// How a step was compressed, for people: "lambda 1, beta 2, 4/4 bits, rans".
std::string describe(const Options& options);

}  // namespace kinglet::excp
