// Queues the lossless coding of one flat array, block by block.
#pragma once

#include <functional>
#include <span>

#include "kinglet/methods/excp/payload_queue.h"

namespace kinglet::excp {

// Appends the coded block number `block` to `out` and returns its content hash (StoredArray::Block).
using EncodeArrayBlock = std::function<std::uint64_t(std::uint64_t block, Bytes& out)>;

// Gives `region` an array of `n` elements of `dtype` and queues its blocks. `region` stays where it is until the queue
// is flushed.
void queue_array(StoredRegion& region, DType dtype, std::uint64_t n, bool predicted, const EncodeArrayBlock& encode,
                 PayloadQueue& queue);

// The same for elements in memory: n * item_size(region.dtype) bytes, alive until the queue is flushed. reference: [n]
// or empty. When it is given, the array is the weights of a parameter: with `predicted` the differences to it are coded
// (dtype: is_predictable), and it is then set to the elements.
void queue_elements(StoredRegion& region, ByteView elements, std::span<float> reference, bool predicted,
                    PayloadQueue& queue);

}  // namespace kinglet::excp
