#include "kinglet/methods/excp/delta_codec.h"

#include <cassert>
#include <cmath>
#include <cstring>

#include "kinglet/base/hash.h"
#include "kinglet/kernels/quantize.h"
#include "kinglet/methods/excp/delta_plan.h"
#include "kinglet/methods/excp/symbol_stream.h"

namespace kinglet::excp {
namespace {

using Classes = std::vector<std::uint8_t>;
using DecodeTable = std::array<float, 256>;

// table[0] for pruned elements; unused entries like it.
DecodeTable decode_table(const Codebook& centres, float pruned) {
  DecodeTable table;
  table.fill(pruned);
  std::copy(centres.begin(), centres.end(), table.begin() + 1);
  return table;
}

// -0 and not +0: adding it leaves every weight's bits alone, negative zeros too.
DecodeTable weight_table(const DeltaFrame& frame) { return decode_table(frame.codebooks[kWeight], -0.0F); }

std::uint64_t hash_floats(std::span<const float> values) { return xxh3(std::as_bytes(values)); }

// ------------------------------------------------------------------------- encoding

struct BlockEncoder {
  const DeltaInput& input;
  const DeltaPlan& plan;
  const Options& options;
  const DeltaFrame& frame;
  WindowReader reader;
  std::array<Classes, kStreams> classes;
  Classes flags = Classes(kWindowElements), compacted;
  std::vector<float> scratch = std::vector<float>(kWindowElements);
  DecodeTable table;
  SquaredSums sums;  // of the current block

  BlockEncoder(const DeltaInput& delta, const DeltaPlan& decisions, const Options& choices, const DeltaFrame& header)
      : input(delta), plan(decisions), options(choices), frame(header), reader(delta), table(weight_table(header)) {
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      if (frame.has(static_cast<Stream>(stream))) classes[stream].resize(kBlockElements);
    }
    compacted.resize(kBlockElements + 64);
  }

  void quantize_stream(std::size_t stream, const float* x, std::uint8_t flag, std::uint64_t n, std::uint64_t at) {
    const Codebook& centres = plan.codebooks[stream];
    std::uint8_t* out = classes[stream].data() + at;
    if (centres.empty())
      std::memset(out, 0, n);
    else
      quantize(x, flags.data(), flag, plan.boundaries[stream].data(), centres.size(), n, out);
  }

  void quantize_block(std::uint64_t block) {
    sums = {};
    for_each_window(input.n, block, [&](std::uint64_t begin, std::uint64_t n) {
      const Window window = reader.all(begin, n);
      keep_flags(window, plan, scratch.data(), flags.data());
      const std::uint64_t at = begin - block * kBlockElements;
      quantize_stream(kWeight, window.delta, kKeepWeight, n, at);
      if (window.first != nullptr) quantize_stream(kFirst, window.first, kKeepMoment, n, at);
      if (window.second != nullptr) quantize_stream(kSecond, window.second, kKeepMoment, n, at);
      if (window.max_second != nullptr) quantize_stream(kMaxSecond, window.max_second, kKeepMoment, n, at);
      float* reference = input.reference.data() + begin;
      dequantize_add(classes[kWeight].data() + at, table.data(), n, reference);
      const SquaredSums part = squared_error(window.weight, reference, n);
      sums.error += part.error;
      sums.value += part.value;
    });
  }

  // Joint coding: first moments only where the weight is kept, second moments only where the first is.
  std::span<const std::uint8_t> symbols(std::size_t stream, std::uint64_t n) {
    if (!frame.joint || stream == kWeight) return std::span(classes[stream]).first(n);
    const Classes& selector = stream == kFirst ? classes[kWeight] : classes[kFirst];
    const std::size_t taken = compact_nonzero(selector.data(), classes[stream].data(), n, compacted.data());
    return std::span(compacted).first(taken);
  }

  DeltaBlock encode(std::uint64_t block, Bytes& payload) {
    quantize_block(block);
    const std::uint64_t n = block_size(input.n, block);
    DeltaBlock record;
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      if (!frame.has(static_cast<Stream>(stream))) continue;
      const std::size_t before = payload.size();
      encode_symbols(symbols(stream, n), frame.bits(static_cast<Stream>(stream)), options.coder, payload);
      record.length[stream] = static_cast<std::uint32_t>(payload.size() - before);
    }
    record.payload_hash = xxh3(payload);
    record.reference_hash = hash_floats(input.reference.subspan(block * kBlockElements, n));
    return record;
  }
};

DeltaFrame make_frame(const DeltaInput& input, const Options& options, const DeltaPlan& plan) {
  DeltaFrame frame;
  frame.n = input.n;
  frame.weight_bits = options.weight_bits;
  frame.moment_bits = options.moment_bits;
  frame.joint = options.joint_coding && plan.joint_mask;
  frame.coder = options.coder;
  frame.streams = static_cast<std::uint8_t>(1U << kWeight | (input.first_moment ? 1U << kFirst : 0U) |
                                            (input.second_moment ? 1U << kSecond : 0U) |
                                            (input.max_second_moment ? 1U << kMaxSecond : 0U));
  frame.lambda = static_cast<float>(plan.lambda);
  frame.weight_threshold = plan.weight_threshold;
  frame.moment_threshold = plan.moment_threshold;
  frame.weights_kept = plan.weights_kept;
  frame.moments_kept = plan.moments_kept;
  frame.zero_residuals = plan.zero_residuals;
  frame.codebooks = plan.codebooks;
  frame.row_length = plan.row_length;
  frame.row_means = plan.row_means;
  frame.blocks.resize(block_count(input.n));
  return frame;
}

// ------------------------------------------------------------------------- decoding

void check_payload(const DeltaFrame& frame, std::uint64_t block, ByteView payload, std::string_view where) {
  assert(block < frame.blocks.size());
  const DeltaBlock& record = frame.blocks[block];
  if (payload.size() != record.payload_bytes() || xxh3(payload) != record.payload_hash) {
    throw bad_input(where, fmt::format("block {} does not match its checksum", block), "the file is damaged");
  }
}

ByteView stream_bytes(const DeltaBlock& record, std::size_t stream, ByteView payload) {
  std::size_t offset = 0;
  for (std::size_t before = 0; before < stream; ++before) offset += record.length[before];
  return payload.subspan(offset, record.length[stream]);
}

// Classes of one stream; `selector`: classes of the stream that says where symbols exist (joint coding), else empty.
Classes decode_classes(const DeltaFrame& frame, std::uint64_t block, std::size_t stream, ByteView payload,
                       std::span<const std::uint8_t> selector, std::string_view where) {
  const std::uint64_t n = block_size(frame.n, block);
  Classes symbols(selector.empty() ? n : count_nonzero(selector.data(), n));
  decode_symbols(stream_bytes(frame.blocks[block], stream, payload), frame.bits(static_cast<Stream>(stream)),
                 frame.coder, symbols, where);
  if (max_value(symbols.data(), symbols.size()) > frame.codebooks[stream].size()) {
    throw bad_input(where, "a class has no centre in its codebook", "the file is damaged");
  }
  if (selector.empty()) return symbols;
  Classes classes(n);
  expand_nonzero(selector.data(), symbols.data(), symbols.size(), n, classes.data());
  return classes;
}

void write_second_moments(const DeltaFrame& frame, std::uint64_t block, std::size_t stream, const Classes& classes,
                          std::span<float> out) {
  dequantize(classes.data(), decode_table(frame.codebooks[stream], 0.0F).data(), classes.size(), out.data());
  if (frame.row_length == 0) return;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (classes[i] == 0) out[i] = frame.row_means[(block * kBlockElements + i) / frame.row_length];
  }
}

void decode_moments(const DeltaFrame& frame, std::uint64_t block, ByteView payload, const Classes& weight_classes,
                    const BlockTargets& targets, std::string_view where) {
  const std::span<const std::uint8_t> none;
  const Classes first = decode_classes(frame, block, kFirst, payload,
                                       frame.joint ? std::span<const std::uint8_t>(weight_classes) : none, where);
  if (!targets.first.empty()) {
    dequantize(first.data(), decode_table(frame.codebooks[kFirst], 0.0F).data(), first.size(), targets.first.data());
  }
  for (const auto& [stream, out] : {std::pair{kSecond, targets.second}, std::pair{kMaxSecond, targets.max_second}}) {
    if (out.empty() || !frame.has(stream)) continue;
    const Classes classes =
        decode_classes(frame, block, stream, payload, frame.joint ? std::span<const std::uint8_t>(first) : none, where);
    write_second_moments(frame, block, stream, classes, out);
  }
}

}  // namespace

DeltaFrame encode_delta(const DeltaInput& input, const Options& options, const std::function<void(ByteView)>& write) {
  validate(options);
  assert(input.n > 0 && input.n <= UINT32_MAX && input.reference.size() == input.n && input.weight.size() == input.n);
  const DeltaPlan plan = plan_delta(input, options);
  DeltaFrame frame = make_frame(input, options, plan);
  const auto workers = static_cast<std::uint64_t>(worker_count(input.n));
  std::vector<BlockEncoder> encoders;
  for (std::uint64_t worker = 0; worker < workers; ++worker) encoders.emplace_back(input, plan, options, frame);
  // Waves of one block a worker, so that finished blocks are written in order and few wait in memory.
  std::vector<Bytes> payloads(workers);
  std::vector<SquaredSums> sums(frame.blocks.size());
  for (std::uint64_t wave = 0; wave < frame.blocks.size(); wave += workers) {
    const std::uint64_t in_wave = std::min(workers, frame.blocks.size() - wave);
    check_interrupt();
    parallel_for(static_cast<std::int64_t>(in_wave), [&](std::int64_t index) {
      const auto worker = static_cast<std::size_t>(index);
      payloads[worker].clear();
      frame.blocks[wave + worker] = encoders[worker].encode(wave + worker, payloads[worker]);
      sums[wave + worker] = encoders[worker].sums;
    });
    for (std::uint64_t worker = 0; worker < in_wave; ++worker) write(payloads[worker]);
  }
  for (const SquaredSums& block : sums) {  // in block order, whatever the number of workers
    frame.squared_error += block.error;
    frame.squared_weight += block.value;
  }
  return frame;
}

void decode_block(const DeltaFrame& frame, std::uint64_t block, ByteView payload, const BlockTargets& targets,
                  std::string_view where, bool check_reference) {
  check_payload(frame, block, payload, where);
  const bool moments =
      frame.has(kFirst) && !(targets.first.empty() && targets.second.empty() && targets.max_second.empty());
  Classes weight_classes;
  if (!targets.reference.empty() || (moments && frame.joint)) {
    weight_classes = decode_classes(frame, block, kWeight, payload, {}, where);
  }
  if (!targets.reference.empty()) {
    assert(targets.reference.size() == weight_classes.size());
    dequantize_add(weight_classes.data(), weight_table(frame).data(), weight_classes.size(), targets.reference.data());
    if (check_reference && hash_floats(targets.reference) != frame.blocks[block].reference_hash) {
      throw bad_input(where, fmt::format("block {} does not reconstruct to what was stored", block),
                      "this file or an earlier one of the chain is damaged");
    }
  }
  if (moments) decode_moments(frame, block, payload, weight_classes, targets, where);
}

}  // namespace kinglet::excp
