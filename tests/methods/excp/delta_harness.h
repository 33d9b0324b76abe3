// Parameters in memory and their way through the encoder and decoder; for tests of the codec.
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kinglet/base/rng.h"
#include "kinglet/methods/excp/delta_codec.h"

namespace kinglet::testing_support {

using excp::DeltaFrame;
using excp::Options;
using Floats = std::vector<float>;

inline NumberArray view(const Floats& values) { return {DType::kF32, std::as_bytes(std::span(values))}; }

struct TestParameter {
  Floats previous, weight;  // previous: the reference, What_{t-1}
  std::optional<Floats> first, second, max_second;
  std::uint64_t row_length = 0;
};

struct Encoded {
  DeltaFrame frame;
  std::vector<Bytes> payloads;
  Floats reference;  // What_t of the encoder
  std::uint64_t payload_bytes() const {
    std::uint64_t total = 0;
    for (const Bytes& payload : payloads) total += payload.size();
    return total;
  }
};

struct Decoded {
  Floats weight, first, second, max_second;
};

inline Encoded encode(const TestParameter& parameter, const Options& options) {
  Encoded result;
  result.reference = parameter.previous;
  excp::DeltaInput input;
  input.name = "test.weight";
  input.n = parameter.weight.size();
  input.row_length = parameter.row_length;
  input.weight = view(parameter.weight);
  if (parameter.first) input.first_moment = view(*parameter.first);
  if (parameter.second) input.second_moment = view(*parameter.second);
  if (parameter.max_second) input.max_second_moment = view(*parameter.max_second);
  input.reference = result.reference;
  result.frame = excp::encode_delta(
      input, options, [&](ByteView payload) { result.payloads.emplace_back(payload.begin(), payload.end()); });
  return result;
}

// Through the frame's bytes, block by block.
inline Decoded decode(const Encoded& encoded, const Floats& previous) {
  Bytes bytes;
  excp::append_frame(encoded.frame, bytes);
  const DeltaFrame frame = excp::parse_frame(bytes, "test");
  Decoded result{previous, Floats(previous.size()), Floats(previous.size()), Floats(previous.size())};
  for (std::uint64_t block = 0; block < frame.blocks.size(); ++block) {
    const auto part = [&](Floats& values) {
      return std::span(values).subspan(block * excp::kBlockElements, excp::block_size(frame.n, block));
    };
    excp::decode_block(frame, block, encoded.payloads[block],
                       {part(result.weight), part(result.first), part(result.second), part(result.max_second)}, "test");
  }
  return result;
}

inline bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// A parameter as training leaves it: heavy-tailed steps, moments of both orders.
inline TestParameter trained_parameter(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  TestParameter parameter{Floats(n), Floats(n), Floats(n), Floats(n), {}, 0};
  for (std::size_t i = 0; i < n; ++i) {
    parameter.previous[i] = static_cast<float>(0.02 * rng.normal());
    const double scale = std::exp(0.7 * rng.normal());
    parameter.weight[i] = parameter.previous[i] + static_cast<float>(3e-4 * scale * rng.normal());
    (*parameter.first)[i] = static_cast<float>(1e-5 * scale * rng.normal());
    (*parameter.second)[i] = static_cast<float>(4e-10 * scale * scale * (0.2 + rng.uniform()));
  }
  return parameter;
}

}  // namespace kinglet::testing_support
