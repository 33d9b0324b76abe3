// From the coded blocks of one step to the bytes of the user's files. Every piece can be decoded on its own, by any
// thread; hashes are checked on the way.
// Errors: Error (bad input) naming the container when a checksum or a number disagrees.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "kinglet/base/files.h"
#include "kinglet/methods/excp/step_file.h"

namespace kinglet::excp {

// Whether the parameter's weights are coded as a difference to the parent's reconstruction.
bool needs_parent(const StepIndex& index, const StoredParameter& parameter);

// One block of a parameter with has_reference. reference: [block_size], in: What_{t-1} (read only if needs_parent),
// out: What_t.
void advance_reference(const StepFile& step, const StoredParameter& parameter, std::uint64_t block,
                       std::span<float> reference);

// Receives decoded bytes of file number `file`, at `offset` in it. exact: coded without loss, so the bytes are those
// that were added.
using Deliver = std::function<void(std::size_t file, std::uint64_t offset, ByteView bytes, bool exact)>;

// Weights and moments of one block. reference: as above; empty for a parameter without reference.
void decode_parameter_block(const StepFile& step, const StoredParameter& parameter, std::uint64_t block,
                            std::span<float> reference, const Deliver& deliver);

// One block of an array that belongs to no parameter.
void decode_array_region(const StepFile& step, RegionRef region, std::uint64_t block, const Deliver& deliver);

// chunk: decoded bytes (StepFile::read_chunk) of chunk number `number` of file number `file`.
void deliver_chunk(const StepIndex& index, std::size_t file, std::size_t number, ByteView chunk,
                   const Deliver& deliver);

}  // namespace kinglet::excp
