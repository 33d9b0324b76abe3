// The ExCP transform of one parameter: residual to the previous reconstruction, joint pruning of weights and Adam
// moments, 4-bit codebooks, joint entropy coding; and its inverse. [ExCP equations (1)-(9)]
//
// Streams: the arrays are read in place (memory maps), in blocks of kBlockElements; nothing of a tensor's size is
// allocated. Bytes and reconstruction do not depend on the number of threads or on the SIMD level.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/io/dtype.h"
#include "kinglet/methods/excp/options.h"

namespace kinglet::excp {

inline constexpr std::uint64_t kBlockElements = std::uint64_t{1} << 20;
inline std::uint64_t block_count(std::uint64_t n) { return (n + kBlockElements - 1) / kBlockElements; }
inline std::uint64_t block_size(std::uint64_t n, std::uint64_t block) {
  return std::min(kBlockElements, n - block * kBlockElements);
}

// A flat array in a checkpoint file; F32, F16, BF16 or F64; may be unaligned.
struct ArrayView {
  DType dtype = DType::kF32;
  ByteView data;
  std::uint64_t size() const { return data.size() / item_size(dtype); }
};
// Converts elements [begin, begin + n) to fp32.
void load_f32(const ArrayView& array, std::uint64_t begin, std::uint64_t n, float* out);
// Rounds fp32 values to the array type (nearest even) into `out` (n * item_size bytes).
void store_f32(const float* values, std::uint64_t n, DType dtype, std::byte* out);

struct DeltaInput {
  std::string name;
  std::uint64_t n = 0;
  std::uint64_t row_length = 0;              // last dimension, for fill_pruned_second; 0 = n
  ArrayView weight;
  std::optional<ArrayView> first_moment;     // exp_avg
  std::optional<ArrayView> second_moment;    // exp_avg_sq
  std::optional<ArrayView> max_second_moment;
  std::span<float> reference;                // in: What_{t-1} [n]; out: What_t [n], bit-exact with every decoder
};

// The arrays of one parameter that a delta carries.
enum Stream : std::size_t { kWeight = 0, kFirst = 1, kSecond = 2, kMaxSecond = 3, kStreams = 4 };

struct Codebook {
  std::vector<float> centres;  // ascending, 0..2^bits - 1 of them; class c stands for centres[c - 1]
};

struct DeltaBlock {
  std::array<std::uint64_t, kStreams> length{};  // coded bytes of each stream, stored one after another
  std::uint64_t payload_hash = 0;                // XXH3 of the coded bytes
  std::uint64_t reference_hash = 0;              // XXH3 of the fp32 bytes of What_t in this block
};

struct DeltaFrame {
  std::uint64_t n = 0;
  std::uint64_t row_length = 0;
  int weight_bits = 4;
  int moment_bits = 4;
  bool joint = true;
  bool fill_pruned_second = false;
  Coder coder = Coder::kRans;
  std::uint8_t streams = 0;                      // bit s set: stream s is present
  double lambda = 0;                             // effective (element scope: median of the applied ones)
  float weight_threshold = 0;                    // r_w
  float moment_threshold = 0;                    // r_o
  std::uint64_t weights_kept = 0;
  std::uint64_t moments_kept = 0;
  std::uint64_t zero_residuals = 0;
  double second_moment_mean_kept = 0;            // used by fill_pruned_second when a row has no kept element
  std::array<Codebook, kStreams> codebooks;
  std::vector<DeltaBlock> blocks;                // block_count(n)
};

// Compresses. Blocks are handed to `write` in order. Raises Error (bad input) naming the tensor for NaN/Inf (the caller
// may then store it losslessly) and for negative second moments.
DeltaFrame encode_delta(const DeltaInput& input, const Options& options, const std::function<void(ByteView)>& write);

// reference[0..block_size) of block b: What_{t-1} in, What_t out. `payload`: the block's coded bytes. Checks the payload
// hash; and, with `check_reference`, the reference hash. Raises Error (bad input) when anything disagrees.
void decode_weight_block(const DeltaFrame& frame, std::uint64_t block, ByteView payload, std::span<float> reference,
                         std::string_view where, bool check_reference = true);

// The moments of block b; spans may be empty when not wanted. Needs no chain.
void decode_moment_block(const DeltaFrame& frame, std::uint64_t block, ByteView payload, std::span<float> first,
                         std::span<float> second, std::span<float> max_second, std::string_view where);

// Frame header <-> bytes, for the container. parse_frame checks every count against n and the codebook rules.
void append_frame(const DeltaFrame& frame, Bytes& out);
DeltaFrame parse_frame(ByteView bytes, std::string_view where);

}  // namespace kinglet::excp
