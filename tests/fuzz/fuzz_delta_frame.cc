// A delta-coded parameter: its frame survives being written again, and a block decodes to values of its codebooks.
//
// Input: frame length u16, frame, payload of block 0.
#include <algorithm>
#include <cmath>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/base/byte_io.h"
#include "kinglet/base/hash.h"
#include "kinglet/methods/excp/delta_codec.h"

namespace kinglet::fuzz {
namespace {

using excp::DeltaFrame;
using Floats = std::vector<float>;

constexpr std::uint64_t kMaxElements = 1 << 13;  // a few coded bytes may stand for many elements: bounds the work

void check_frame(const DeltaFrame& frame) {
  require(frame.blocks.size() == excp::block_count(frame.n), "there is a record a block");
  for (std::size_t stream = 0; stream < excp::kStreams; ++stream) {
    const excp::Codebook& centres = frame.codebooks[stream];
    require(
        centres.size() <= static_cast<std::size_t>(excp::max_centres(frame.bits(static_cast<excp::Stream>(stream)))),
        "classes can name every centre");
    require(std::is_sorted(centres.begin(), centres.end()), "centres are ascending");
  }
  Bytes written, again;
  excp::append_frame(frame, written);
  excp::append_frame(excp::parse_frame(written, "written"), again);
  require(written == again, "a frame survives being written");
}

// The checksum of a changed payload would stop the decoder: brings it up to date.
bool fit_payload(DeltaFrame& frame, ByteView payload) {
  if (frame.n == 0 || frame.n > kMaxElements || frame.blocks[0].payload_bytes() != payload.size()) return false;
  frame.blocks[0].payload_hash = xxh3(payload);
  return true;
}

void check_moments(const DeltaFrame& frame, excp::Stream stream, const Floats& values) {
  if (!frame.has(stream)) return;
  const excp::Codebook& centres = frame.codebooks[stream];
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float pruned = stream == excp::kFirst || frame.row_length == 0 ? 0 : frame.row_means[i / frame.row_length];
    require(values[i] == pruned || std::binary_search(centres.begin(), centres.end(), values[i]),
            "a moment is pruned or a centre");
  }
}

void check_block(DeltaFrame& frame, ByteView payload) {
  const Floats unset(frame.n, NAN), start(frame.n, 0.5F);
  Floats reference = start, first = unset, second = unset, max_second = unset;
  const excp::BlockTargets targets{reference, first, second, max_second};
  if (!accepted([&] { excp::decode_block(frame, 0, payload, targets, "input", false); })) return;
  const excp::Codebook& centres = frame.codebooks[excp::kWeight];
  for (const float value : reference) {
    require(value == 0.5F ||
                std::any_of(centres.begin(), centres.end(), [value](float centre) { return value == 0.5F + centre; }),
            "a weight moves by a centre or not at all");
  }
  check_moments(frame, excp::kFirst, first);
  check_moments(frame, excp::kSecond, second);
  check_moments(frame, excp::kMaxSecond, max_second);
  // The reference's hash is checked, and the weights do not depend on what else is decoded.
  frame.blocks[0].reference_hash = xxh3(std::as_bytes(std::span(reference)));
  Floats alone = start;
  excp::decode_block(frame, 0, payload, {alone, {}, {}, {}}, "input");
  require(alone == reference, "weights decode alike with and without moments");
  frame.blocks[0].reference_hash ^= 1;
  alone = start;
  require(!accepted([&] {
    excp::decode_block(frame, 0, payload, {alone, {}, {}, {}}, "input");
  }),
          "another reconstruction is noticed");
}

void check_delta_frame(ByteView input) {
  DeltaFrame frame;
  ByteView payload;
  const bool parsed = accepted([&] {
    ByteReader reader(input, "input");
    const ByteView bytes = reader.take(reader.number<std::uint16_t>());
    payload = reader.take(reader.remaining());
    frame = excp::parse_frame(bytes, "input");
  });
  if (!parsed) return;
  check_frame(frame);
  if (fit_payload(frame, payload)) check_block(frame, payload);
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(delta_frame, kinglet::fuzz::check_delta_frame)
