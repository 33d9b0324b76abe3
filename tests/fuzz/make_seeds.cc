// Seeds for the targets of our own formats: make_fuzz_seeds FOLDER writes FOLDER/<target>/<seed>.
#include <cmath>
#include <cstdio>

#include "tests/fuzz/step_container.h"

#include "kinglet/base/byte_io.h"
#include "kinglet/base/rng.h"
#include "kinglet/kernels/rans.h"
#include "kinglet/methods/excp/delta_codec.h"
#include "kinglet/methods/excp/lossless_codec.h"
#include "kinglet/methods/excp/symbol_stream.h"

namespace kinglet::fuzz {
namespace {

namespace fs = std::filesystem;
using Floats = std::vector<float>;

NumberArray view(const Floats& values) { return {DType::kF32, std::as_bytes(std::span(values))}; }

struct Delta {
  excp::DeltaFrame frame;
  Bytes payload;
};

// moments: 0..3 of them.
Delta make_delta(std::size_t n, int moments, const excp::Options& options, std::uint64_t row_length) {
  Rng rng(n);
  Floats weight(n), first(n), second(n), reference(n, kStartReference);
  for (std::size_t i = 0; i < n; ++i) {
    weight[i] = kStartReference + static_cast<float>(1e-3 * rng.normal());
    first[i] = static_cast<float>(1e-4 * rng.normal());
    second[i] = static_cast<float>(1e-8 * rng.uniform());
  }
  excp::DeltaInput input;
  input.name = "seed";
  input.n = n;
  input.row_length = row_length;
  input.weight = view(weight);
  if (moments > 0) input.first_moment = view(first);
  if (moments > 1) input.second_moment = view(second);
  if (moments > 2) input.max_second_moment = view(second);
  input.reference = reference;
  Delta delta;
  delta.frame = excp::encode_delta(input, options, [&](ByteView payload) {
    delta.payload.insert(delta.payload.end(), payload.begin(), payload.end());
  });
  return delta;
}

std::vector<excp::Options> delta_options() {
  std::vector<excp::Options> all(4);
  for (excp::Options& options : all) options.lambda = 1;
  all[1].weight_bits = 2;
  all[1].moment_bits = 8;
  all[1].joint_coding = false;
  all[2].coder = excp::Coder::kZstd;
  all[2].fill_pruned_second = true;
  all[3] = excp::paper_options();
  return all;
}

void write(const fs::path& folder, const std::string& name, const Bytes& bytes) {
  fs::create_directories(folder);
  write_file_atomically(folder / name, bytes);
}

void write_delta_frames(const fs::path& folder) {
  int number = 0;
  for (const excp::Options& options : delta_options()) {
    const Delta delta = make_delta(60 + static_cast<std::size_t>(number), 3 - number % 4, options, 8);
    Bytes frame, seed;
    excp::append_frame(delta.frame, frame);
    ByteWriter writer(seed);
    writer.number(static_cast<std::uint16_t>(frame.size()));
    writer.bytes(frame);
    writer.bytes(delta.payload);
    write(folder, "delta-" + std::to_string(number++), seed);
  }
}

void write_rans(const fs::path& folder) {
  const auto seed = [&](const std::string& name, std::uint8_t mode, std::uint8_t parameter, std::size_t n,
                        ByteView rest) {
    Bytes bytes;
    ByteWriter writer(bytes);
    writer.number(mode);
    writer.number(parameter);
    writer.number(static_cast<std::uint16_t>(n));
    writer.bytes(rest);
    write(folder, name, bytes);
  };
  Rng rng(1);
  std::vector<std::uint8_t> symbols(400);
  for (std::uint8_t& symbol : symbols) symbol = static_cast<std::uint8_t>(rng.below(10) == 0 ? rng.below(16) : 0);
  std::vector<std::uint8_t> many(5000, 3);
  for (std::size_t i = 0; i < many.size(); i += 50) many[i] = static_cast<std::uint8_t>(i / 50);
  Bytes coded, coded_many, array, predicted;
  rans_encode(symbols, coded);
  rans_encode(many, coded_many);
  seed("one-state", 0, 0, symbols.size(), coded);
  seed("eight-states", 0, 0, many.size(), coded_many);
  seed("encode", 1, 0, 0, std::as_bytes(std::span(symbols)));
  for (const auto coder : {excp::Coder::kRans, excp::Coder::kZstd, excp::Coder::kXz}) {
    Bytes stream;
    excp::encode_symbols(symbols, 4, coder, stream);
    const auto number = static_cast<std::uint8_t>(coder);
    seed("symbols-" + std::to_string(number), 2, static_cast<std::uint8_t>(2 + 4 * number), symbols.size(), stream);
    seed("bytes-" + std::to_string(number), 6, coder == excp::Coder::kXz ? 1 : 0, symbols.size() / 2,
         ByteView(stream).subspan(1));
  }
  Floats values(64);
  for (float& value : values) value = static_cast<float>(rng.normal());
  excp::encode_array_block(std::as_bytes(std::span(values)), DType::kF32, {}, array);
  seed("array", 4, 1, values.size(), array);
  Bytes prediction(values.size() * 4);
  for (std::size_t i = 0; i < prediction.size(); ++i) prediction[i] = static_cast<std::byte>(i * 37);
  excp::encode_array_block(std::as_bytes(std::span(values)), DType::kF32, prediction, predicted);
  seed("array-predicted", 4, 137, values.size(), predicted);  // 137 % 17 = 1: F32
  seed("array-encode", 5, 2, values.size(), std::as_bytes(std::span(values)));
}

// A step of one file: bytes, weights, moments, bytes.
class StepBuilder {
 public:
  StepBuilder() {
    index_.step = 7;
    index_.files.resize(1);
    index_.files[0].name = "model.safetensors";
    index_.settings = "seed";
    add_gap(12);
  }

  void set_parent() {
    index_.parent = 6;
    index_.parent_content = 1;
  }

  void add_delta(std::size_t n, int moments, const excp::Options& options, std::uint64_t row_length) {
    const Delta delta = make_delta(n, moments, options, row_length);
    excp::StoredParameter parameter = begin_parameter(n);
    parameter.frame = delta.frame;
    parameter.payload_offset = position();
    for (int stream = 0; stream <= moments; ++stream) {
      parameter.regions[static_cast<std::size_t>(stream)] = add_region(DType::kF32, n);
    }
    append(delta.payload);
    finish_parameter(std::move(parameter));
    index_.lossy = true;
  }

  void add_arrays(std::size_t n, DType dtype, DType stored, bool predicted, bool has_reference) {
    excp::StoredParameter parameter = begin_parameter(n);
    parameter.has_reference = has_reference;
    for (std::size_t stream = 0; stream < 2; ++stream) {
      parameter.regions[stream] = add_region(dtype, n);
      add_array(*parameter.regions[stream], stored, n, predicted && stream == 0);
    }
    parameter.fallback = "seed";
    finish_parameter(std::move(parameter));
  }

  void add_loose_array(std::size_t n, DType dtype) {
    const RegionRef ref = add_region(dtype, n);
    index_.files[0].regions[ref.region].label = "loose";
    index_.files[0].checksums.push_back({ref.region, 0});
    add_array(ref, dtype, n, false);
  }

  // One file of a few bytes, kept verbatim.
  void add_file(bool after_parent) {
    excp::StoredFile file;
    file.name = "trainer/state.json";
    const Bytes content(40, std::byte{'{'});
    file.size = content.size();
    const Bytes coded = after_parent ? excp::compress_after(content, {}) : excp::compress_bytes(content);
    file.chunks.push_back({position(), coded.size(), content.size(), 0, after_parent});
    append(coded);
    index_.files.push_back(std::move(file));
  }

  Bytes finish(bool as_container) {
    add_gap(5);
    excp::StoredFile& file = index_.files[0];
    const Bytes skeleton(file.skeleton_bytes(), std::byte{'s'});
    const Bytes coded = excp::compress_bytes(skeleton);
    file.chunks.push_back({position(), coded.size(), skeleton.size(), 0, false});
    append(coded);
    seal(index_, payload_);
    Bytes seed;
    ByteWriter writer(seed);
    writer.number(static_cast<std::uint8_t>(as_container ? 1 : 0));
    if (as_container) {
      writer.bytes(make_container(index_, payload_));
      return seed;
    }
    writer.number(static_cast<std::uint16_t>(payload_.size()));
    writer.bytes(payload_);
    excp::append_index(index_, seed);
    return seed;
  }

 private:
  std::uint64_t position() const { return kContainerHeader + payload_.size(); }
  void append(const Bytes& bytes) { payload_.insert(payload_.end(), bytes.begin(), bytes.end()); }
  void add_gap(std::uint64_t bytes) { index_.files[0].size += bytes; }

  RegionRef add_region(DType dtype, std::size_t n) {
    excp::StoredFile& file = index_.files[0];
    file.regions.push_back({file.size, n * item_size(dtype), dtype, {}, {}});
    file.size += n * item_size(dtype);
    return {0, file.regions.size() - 1};
  }

  void add_array(RegionRef ref, DType dtype, std::size_t n, bool predicted) {
    excp::StoredArray array;
    array.dtype = dtype;
    array.n = n;
    array.predicted = predicted;
    array.offset = position();
    Bytes elements(n * item_size(dtype)), prediction, coded;
    for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<std::byte>(i % 7 + 60);
    if (predicted) {
      const Floats reference(n, kStartReference);
      prediction.resize(elements.size());
      store_f32(reference.data(), n, dtype, prediction.data());
    }
    excp::encode_array_block(elements, dtype, prediction, coded);
    array.blocks.push_back({static_cast<std::uint32_t>(coded.size()), 0, 0});
    append(coded);
    index_.files[0].regions[ref.region].array = std::move(array);
  }

  excp::StoredParameter begin_parameter(std::size_t n) const {
    excp::StoredParameter parameter;
    parameter.name = "layer." + std::to_string(index_.parameters.size());
    parameter.shape = {static_cast<std::int64_t>(n)};
    parameter.n = n;
    return parameter;
  }
  void finish_parameter(excp::StoredParameter parameter) { index_.parameters.push_back(std::move(parameter)); }

  excp::StepIndex index_;
  Bytes payload_;
};

void write_steps(const fs::path& folder) {
  for (const bool as_container : {false, true}) {
    const std::string suffix = as_container ? "-container" : "";
    StepBuilder key;
    key.add_arrays(9, DType::kF32, DType::kF32, false, true);
    key.add_arrays(5, DType::kI64, DType::kI64, false, false);
    key.add_loose_array(6, DType::kU8);
    key.add_file(false);
    write(folder, "key" + suffix, key.finish(as_container));

    StepBuilder delta;
    delta.set_parent();
    delta.add_delta(40, 2, delta_options()[0], 0);
    delta.add_arrays(8, DType::kBF16, DType::kBF16, true, true);
    delta.add_file(true);
    write(folder, "delta" + suffix, delta.finish(as_container));

    StepBuilder other;
    other.set_parent();
    other.add_delta(33, 3, delta_options()[1], 0);
    other.add_delta(24, 2, delta_options()[2], 8);
    other.add_arrays(7, DType::kF16, DType::kF32, true, true);  // a rebased step: stored in fp32, rounded on export
    write(folder, "other" + suffix, other.finish(as_container));

    StepBuilder paper;
    paper.set_parent();
    paper.add_delta(30, 2, delta_options()[3], 0);
    write(folder, "paper" + suffix, paper.finish(as_container));
  }
}

}  // namespace
}  // namespace kinglet::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_fuzz_seeds FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  kinglet::fuzz::write_delta_frames(folder / "delta_frame");
  kinglet::fuzz::write_rans(folder / "rans");
  kinglet::fuzz::write_steps(folder / "step_file");
  return 0;
}
