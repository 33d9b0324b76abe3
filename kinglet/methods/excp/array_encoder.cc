#include "kinglet/methods/excp/array_encoder.h"

#include <cassert>

#include "kinglet/base/hash.h"
#include "kinglet/io/number_array.h"
#include "kinglet/methods/excp/lossless_codec.h"

namespace kinglet::excp {
namespace {

std::uint64_t encode_elements(ByteView elements, DType dtype, std::span<float> reference, bool predicted, Bytes& out) {
  Bytes prediction;
  if (predicted) {
    prediction.resize(elements.size());
    store_f32(reference.data(), reference.size(), dtype, prediction.data());
  }
  encode_array_block(elements, dtype, prediction, out);
  if (reference.empty()) return xxh3(elements);
  load_f32({dtype, elements}, 0, reference.size(), reference.data());
  return xxh3(std::as_bytes(reference));
}

}  // namespace

void queue_array(StoredRegion& region, DType dtype, std::uint64_t n, bool predicted, const EncodeArrayBlock& encode,
                 PayloadQueue& queue) {
  StoredArray& array = region.array.emplace();
  array.dtype = dtype;
  array.predicted = predicted;
  array.n = n;
  array.blocks.resize(block_count(n));
  for (std::uint64_t number = 0; number < array.blocks.size(); ++number) {
    StoredArray::Block& block = array.blocks[number];
    queue.add({block_size(n, number) * item_size(dtype),
               [&block, encode, number](Bytes& out) {
                 block.content_hash = encode(number, out);
                 block.payload_hash = xxh3(out);
               },
               [&array, &block, number](std::uint64_t offset, std::uint64_t length) {
                 if (number == 0) array.offset = offset;
                 block.length = static_cast<std::uint32_t>(length);
               }});
  }
}

void queue_elements(StoredRegion& region, ByteView elements, std::span<float> reference, bool predicted,
                    PayloadQueue& queue) {
  const DType dtype = region.dtype;
  const std::size_t item = item_size(dtype);
  const std::uint64_t n = elements.size() / item;
  assert(reference.empty() || reference.size() == n);
  const auto encode = [=](std::uint64_t number, Bytes& out) {
    const std::uint64_t first = number * kBlockElements, count = block_size(n, number);
    return encode_elements(elements.subspan(first * item, count * item), dtype,
                           reference.empty() ? reference : reference.subspan(first, count), predicted, out);
  };
  queue_array(region, dtype, n, predicted, encode, queue);
}

}  // namespace kinglet::excp
