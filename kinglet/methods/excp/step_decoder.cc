#include "kinglet/methods/excp/step_decoder.h"

#include <vector>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/methods/excp/delta_codec.h"
#include "kinglet/methods/excp/skeleton.h"

namespace kinglet::excp {
namespace {

using Floats = std::vector<float>;

std::string place(const StepFile& step, const StoredParameter& parameter) {
  return step.where() + ", " + parameter.name;
}

void check_content(const StepFile& step, std::string_view name, std::uint64_t block, std::uint64_t expected,
                   ByteView content) {
  if (xxh3(content) == expected) return;
  throw bad_input(fmt::format("{}, {}", step.where(), name),
                  fmt::format("block {} does not reconstruct to what was stored", block),
                  "this file or an earlier one of the chain is damaged");
}

// The elements of one block of a parameter's array, as they are stored.
Bytes read_block(const StepFile& step, const StoredArray& array, std::uint64_t block,
                 std::span<const float> reference) {
  const std::uint64_t n = block_size(array.n, block);
  Bytes elements(n * item_size(array.dtype)), prediction;
  if (array.predicted) {
    prediction.resize(elements.size());
    store_f32(reference.data(), n, array.dtype, prediction.data());
  }
  step.read_array_block(array, block, prediction, elements);
  return elements;
}

// Reads one block of the weights' array and moves the reference on to it.
Bytes read_weight_block(const StepFile& step, const StoredParameter& parameter, std::uint64_t block,
                        std::span<float> reference) {
  const StoredArray& array = *step.index().region(*parameter.regions[kWeight]).array;
  Bytes elements = read_block(step, array, block, reference);
  load_f32({array.dtype, elements}, 0, reference.size(), reference.data());
  check_content(step, parameter.name, block, array.blocks[block].content_hash, std::as_bytes(reference));
  return elements;
}

void deliver_elements(const StepIndex& index, RegionRef ref, std::uint64_t block, DType dtype, ByteView elements,
                      bool exact, const Deliver& deliver) {
  const StoredRegion& region = index.region(ref);
  const std::size_t item = item_size(region.dtype);
  const std::uint64_t offset = region.offset + block * kBlockElements * item;
  if (dtype == region.dtype) {
    deliver(ref.file, offset, elements, exact);
    return;
  }
  const NumberArray array{dtype, elements};
  Floats values(array.size());
  load_f32(array, 0, values.size(), values.data());
  Bytes rounded(values.size() * item);
  store_f32(values.data(), values.size(), region.dtype, rounded.data());
  deliver(ref.file, offset, rounded, false);
}

void decode_frame_block(const StepFile& step, const StoredParameter& parameter, std::uint64_t block,
                        std::span<float> reference, const Deliver& deliver) {
  const std::uint64_t n = block_size(parameter.n, block);
  std::array<Floats, kStreams> moments;
  for (const Stream stream : {kFirst, kSecond, kMaxSecond}) {
    if (parameter.frame->has(stream)) moments[stream].resize(n);
  }
  decode_block(*parameter.frame, block, step.delta_payload(parameter, block),
               {reference, moments[kFirst], moments[kSecond], moments[kMaxSecond]}, place(step, parameter));
  const auto write = [&](Stream stream, std::span<const float> values) {
    if (!parameter.regions[stream]) return;
    deliver_elements(step.index(), *parameter.regions[stream], block, DType::kF32, std::as_bytes(values), false,
                     deliver);
  };
  write(kWeight, reference);
  for (const Stream stream : {kFirst, kSecond, kMaxSecond}) write(stream, moments[stream]);
}

}  // namespace

bool needs_parent(const StepIndex& index, const StoredParameter& parameter) {
  return parameter.frame || index.region(*parameter.regions[kWeight]).array->predicted;
}

void advance_reference(const StepFile& step, const StoredParameter& parameter, std::uint64_t block,
                       std::span<float> reference) {
  if (parameter.frame) {
    decode_block(*parameter.frame, block, step.delta_payload(parameter, block), {reference, {}, {}, {}},
                 place(step, parameter));
  } else {
    read_weight_block(step, parameter, block, reference);
  }
}

void decode_parameter_block(const StepFile& step, const StoredParameter& parameter, std::uint64_t block,
                            std::span<float> reference, const Deliver& deliver) {
  if (parameter.frame) {
    decode_frame_block(step, parameter, block, reference, deliver);
    return;
  }
  const StepIndex& index = step.index();
  for (std::size_t stream = 0; stream < kStreams; ++stream) {
    if (!parameter.regions[stream]) continue;
    const RegionRef ref = *parameter.regions[stream];
    if (stream == kWeight && parameter.has_reference) {
      const Bytes elements = read_weight_block(step, parameter, block, reference);
      deliver_elements(index, ref, block, index.region(ref).array->dtype, elements, true, deliver);
    } else {
      decode_array_region(step, ref, block, deliver);
    }
  }
}

void decode_array_region(const StepFile& step, RegionRef ref, std::uint64_t block, const Deliver& deliver) {
  const StoredRegion& region = step.index().region(ref);
  const StoredArray& array = *region.array;
  const Bytes elements = read_block(step, array, block, {});
  const std::string& name = region.label.empty() ? step.index().files[ref.file].name : region.label;
  check_content(step, name, block, array.blocks[block].content_hash, elements);
  deliver_elements(step.index(), ref, block, array.dtype, elements, true, deliver);
}

void deliver_chunk(const StepIndex& index, std::size_t file, std::size_t number, ByteView chunk,
                   const Deliver& deliver) {
  const Skeleton skeleton(index.files[file].size, index.files[file].regions);
  skeleton.for_each_piece(number, [&](std::uint64_t to, std::uint64_t from, std::uint64_t length) {
    deliver(file, to, chunk.subspan(from, length), true);
  });
}

}  // namespace kinglet::excp
