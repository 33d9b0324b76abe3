// What the container keeps about one delta-coded parameter besides the coded blocks, and its bytes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/methods/excp/options.h"

namespace kinglet::excp {

inline constexpr std::uint64_t kBlockElements = std::uint64_t{1} << 20;
inline std::uint64_t block_count(std::uint64_t n) { return (n + kBlockElements - 1) / kBlockElements; }
inline std::uint64_t block_size(std::uint64_t n, std::uint64_t block) {
  return std::min(kBlockElements, n - block * kBlockElements);
}

// The arrays of one parameter that a delta carries.
enum Stream : std::size_t { kWeight = 0, kFirst = 1, kSecond = 2, kMaxSecond = 3, kStreams = 4 };

// Ascending, 0..2^bits - 1 of them; class c stands for centres[c - 1], class 0 for "pruned".
using Codebook = std::vector<float>;

struct DeltaBlock {
  std::array<std::uint32_t, kStreams> length{};  // coded bytes of each stream, stored one after another
  std::uint64_t payload_hash = 0;                // XXH3 of the coded bytes
  std::uint64_t reference_hash = 0;              // XXH3 of the fp32 bytes of What_t in this block
  std::uint64_t payload_bytes() const { return std::uint64_t{0} + length[0] + length[1] + length[2] + length[3]; }
};

struct DeltaFrame {
  std::uint64_t n = 0;
  int weight_bits = 4;
  int moment_bits = 4;
  bool joint = true;  // moments are coded only where their mask can be set
  Coder coder = Coder::kRans;
  std::uint8_t streams = 0;    // bit s set: stream s is present
  float lambda = 0;            // effective
  float weight_threshold = 0;  // r_w
  float moment_threshold = 0;  // r_o
  std::uint64_t weights_kept = 0;
  std::uint64_t moments_kept = 0;
  std::uint64_t zero_residuals = 0;  // elements that did not change at all
  double squared_error = 0;          // sum of (W_t - What_t)^2
  double squared_weight = 0;         // sum of W_t^2
  std::array<Codebook, kStreams> codebooks;
  std::uint64_t row_length = 0;    // with row_means: elements a row; else 0
  std::vector<float> row_means;    // fill_pruned_second: what pruned second moments become, row by row
  std::vector<DeltaBlock> blocks;  // block_count(n)

  bool has(Stream stream) const { return (streams >> stream & 1U) != 0; }
  int bits(Stream stream) const { return stream == kWeight ? weight_bits : moment_bits; }
};

// frame <-> bytes. parse_frame checks every count against n, the codebooks' order, and that the bytes end there;
// raises Error (bad input).
void append_frame(const DeltaFrame& frame, Bytes& out);
DeltaFrame parse_frame(ByteView bytes, std::string_view where);

}  // namespace kinglet::excp
