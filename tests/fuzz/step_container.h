// Step containers from fuzz inputs. Mutated bytes would stop at the first checksum, so the input is a container without
// checksums, and every checksum is computed before the container is read:
//
//   0 | payload length u16 | payload area | index, not compressed
//   1 | a container as it stands in a store; only its footer is brought up to date
#pragma once

#include <cstdint>

#include "kinglet/base/files.h"
#include "kinglet/methods/excp/step_file.h"

namespace kinglet::fuzz {

inline constexpr std::uint64_t kContainerHeader = 16;

// What the reference holds before the step: there is no parent in a fuzz input.
inline constexpr float kStartReference = 0.5F;

// Files of at most this many bytes in all are decoded: a few coded bytes may stand for many.
inline constexpr std::uint64_t kMaxFileBytes = 1 << 15;
bool is_small(const excp::StepIndex& index);

// Gives every payload and every decodable content its right hash. Damaged pieces keep their wrong ones.
void seal(excp::StepIndex& index, ByteView payload);

// header | payload | index | footer.
Bytes make_container(const excp::StepIndex& index, ByteView payload);

// The footer's own hash, from the footer's numbers.
void repair_footer(Bytes& container);

}  // namespace kinglet::fuzz
