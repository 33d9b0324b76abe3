#include "kinglet/methods/excp/delta_frame.h"

#include <cmath>

#include "kinglet/base/byte_io.h"

namespace kinglet::excp {
namespace {

// Byte layout: docs/excp-format.md, "Delta frame".
constexpr std::uint8_t kJointFlag = 1;
constexpr std::uint8_t kRowMeansFlag = 2;
constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 48;

bool valid_bits(int bits) { return bits == 1 || bits == 2 || bits == 4 || bits == 8; }

Codebook read_codebook(ByteReader& reader, int bits, Stream stream) {
  Codebook centres(reader.count(static_cast<std::uint64_t>(max_centres(bits)), "a codebook size"));
  for (float& centre : centres) {
    centre = reader.number<float>();
    if (!std::isfinite(centre)) reader.fail("a codebook holds a value that is not finite");
    if (stream >= kSecond && centre < 0) reader.fail("a codebook of second moments holds a negative value");
  }
  if (!std::is_sorted(centres.begin(), centres.end())) reader.fail("a codebook is not ascending");
  return centres;
}

void read_blocks(ByteReader& reader, DeltaFrame& frame) {
  constexpr std::uint64_t kSmallestBlock = 2 * sizeof(std::uint64_t) + 1;
  if (block_count(frame.n) > reader.remaining() / kSmallestBlock) reader.fail("there are fewer blocks than elements");
  frame.blocks.resize(block_count(frame.n));
  for (DeltaBlock& block : frame.blocks) {
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      if (!frame.has(static_cast<Stream>(stream))) continue;
      // One byte a symbol and a few more at most, whatever the coder.
      block.length[stream] = static_cast<std::uint32_t>(reader.count(2 * kBlockElements, "a block length"));
    }
    block.payload_hash = reader.number<std::uint64_t>();
    block.reference_hash = reader.number<std::uint64_t>();
  }
}

}  // namespace

void append_frame(const DeltaFrame& frame, Bytes& out) {
  ByteWriter writer(out);
  writer.varint(frame.n);
  writer.number(static_cast<std::uint8_t>(frame.weight_bits << 4 | frame.moment_bits));
  writer.number(
      static_cast<std::uint8_t>((frame.joint ? kJointFlag : 0) | (frame.row_length != 0 ? kRowMeansFlag : 0)));
  writer.number(static_cast<std::uint8_t>(frame.coder));
  writer.number(frame.streams);
  writer.number(frame.lambda);
  writer.number(frame.weight_threshold);
  writer.number(frame.moment_threshold);
  writer.varint(frame.weights_kept);
  writer.varint(frame.moments_kept);
  writer.varint(frame.zero_residuals);
  writer.number(frame.squared_error);
  writer.number(frame.squared_weight);
  for (std::size_t stream = 0; stream < kStreams; ++stream) {
    if (!frame.has(static_cast<Stream>(stream))) continue;
    writer.varint(frame.codebooks[stream].size());
    for (const float centre : frame.codebooks[stream]) writer.number(centre);
  }
  if (frame.row_length != 0) {
    writer.varint(frame.row_length);
    for (const float mean : frame.row_means) writer.number(mean);
  }
  for (const DeltaBlock& block : frame.blocks) {
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      if (frame.has(static_cast<Stream>(stream))) writer.varint(block.length[stream]);
    }
    writer.number(block.payload_hash);
    writer.number(block.reference_hash);
  }
}

DeltaFrame parse_frame(ByteView bytes, std::string_view where) {
  ByteReader reader(bytes, where);
  DeltaFrame frame;
  frame.n = reader.count(kMaxElements, "the number of elements");
  const auto bits = reader.number<std::uint8_t>();
  frame.weight_bits = bits >> 4;
  frame.moment_bits = bits & 15;
  if (!valid_bits(frame.weight_bits) || !valid_bits(frame.moment_bits)) reader.fail("unknown number of bits");
  const auto flags = reader.number<std::uint8_t>();
  if ((flags & ~(kJointFlag | kRowMeansFlag)) != 0) reader.fail("unknown flags");
  frame.joint = (flags & kJointFlag) != 0;
  const auto coder = reader.number<std::uint8_t>();
  if (coder > static_cast<std::uint8_t>(Coder::kXz)) reader.fail("unknown coder");
  frame.coder = static_cast<Coder>(coder);
  frame.streams = reader.number<std::uint8_t>();
  const bool known_streams =
      frame.streams == 0b0001 || frame.streams == 0b0011 || frame.streams == 0b0111 || frame.streams == 0b1111;
  if (!known_streams) reader.fail("unknown set of streams");
  frame.lambda = reader.number<float>();
  frame.weight_threshold = reader.number<float>();
  frame.moment_threshold = reader.number<float>();
  frame.weights_kept = reader.count(frame.n, "a count");
  frame.moments_kept = reader.count(frame.n, "a count");
  frame.zero_residuals = reader.count(frame.n, "a count");
  frame.squared_error = reader.number<double>();
  frame.squared_weight = reader.number<double>();
  for (std::size_t stream = 0; stream < kStreams; ++stream) {
    const auto which = static_cast<Stream>(stream);
    if (frame.has(which)) frame.codebooks[stream] = read_codebook(reader, frame.bits(which), which);
  }
  if ((flags & kRowMeansFlag) != 0) {
    frame.row_length = reader.count(frame.n, "the row length");
    if (frame.row_length == 0 || !frame.has(kSecond)) reader.fail("row means without rows");
    const std::uint64_t rows = (frame.n + frame.row_length - 1) / frame.row_length;
    if (rows > reader.remaining() / sizeof(float)) reader.fail("there are fewer row means than rows");
    frame.row_means.resize(rows);
    for (float& mean : frame.row_means) {
      mean = reader.number<float>();
      if (!std::isfinite(mean) || mean < 0) reader.fail("a row mean is not a finite number >= 0");
    }
  }
  read_blocks(reader, frame);
  reader.expect_end();
  return frame;
}

}  // namespace kinglet::excp
