// The ExCP transform of one parameter: residual to the previous reconstruction, joint pruning of weights and Adam
// moments, 4-bit codebooks, joint entropy coding; and its inverse. [ExCP equations (1)-(9)]
//
// Streams: the arrays are read in place (memory maps), in blocks of kBlockElements; nothing of a tensor's size is
// allocated. Bytes and reconstruction do not depend on the number of threads or on the SIMD level.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/io/number_array.h"
#include "kinglet/methods/excp/delta_frame.h"
#include "kinglet/methods/excp/options.h"

namespace kinglet::excp {

struct DeltaInput {
  std::string name;
  std::uint64_t n = 0;           // elements; at most 2^32 - 1
  std::uint64_t row_length = 0;  // last dimension, for fill_pruned_second; 0 = n
  NumberArray weight;
  std::optional<NumberArray> first_moment;       // exp_avg, or the one moment of SGD and Lion
  std::optional<NumberArray> second_moment;      // exp_avg_sq; needs first_moment
  std::optional<NumberArray> max_second_moment;  // needs second_moment
  std::span<float> reference;                    // in: What_{t-1} [n]; out: What_t [n], bit-exact with every decoder
};

// NaN or infinity in the weights or moments; nothing was written and `reference` is untouched.
class NonFiniteValues : public Error {
 public:
  using Error::Error;
};

// Compresses. Blocks are handed to `write` in order. Raises NonFiniteValues, and Error (bad input) for negative second
// moments, both naming the tensor, before anything is written.
DeltaFrame encode_delta(const DeltaInput& input, const Options& options, const std::function<void(ByteView)>& write);

// What to reconstruct of one block: [block_size] each, or empty when not wanted. Moments need no chain.
struct BlockTargets {
  std::span<float> reference;  // in: What_{t-1}, out: What_t
  std::span<float> first, second, max_second;
};

// `payload`: the block's coded bytes. Checks their hash and, with `check_reference`, the hash of What_t. Raises Error
// (bad input) when anything disagrees. Streams that the frame does not have are left alone.
void decode_block(const DeltaFrame& frame, std::uint64_t block, ByteView payload, const BlockTargets& targets,
                  std::string_view where, bool check_reference = true);

}  // namespace kinglet::excp
