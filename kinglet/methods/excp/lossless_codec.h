// Lossless coding of numeric arrays and of plain bytes, in independent blocks.
//
// Numbers: sign rotation + byte planes + rANS a plane (planes that do not shrink are stored raw). With a prediction
// (the previous reconstruction, rounded to the array's type): differences of order-preserving integers, then planes.
// Plain bytes: zstd, or xz. Every coded block carries what its decoder needs except n and the dtype.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kinglet/base/files.h"
#include "kinglet/io/dtype.h"
#include "kinglet/methods/excp/options.h"

namespace kinglet::excp {

// Appends the coded block to `out`. elements: n * item_size(dtype) bytes, n <= 2^20. prediction: empty or the same
// number of bytes of the same dtype (F32, F16 or BF16 only).
void encode_array_block(ByteView elements, DType dtype, ByteView prediction, Bytes& out);
// elements: room for the exact size. Raises Error (bad input) on any disagreement.
void decode_array_block(ByteView coded, DType dtype, ByteView prediction, std::span<std::byte> elements,
                        std::string_view where);

// coder: kZstd (level 3) or kXz (preset 9).
Bytes compress_bytes(ByteView bytes, Coder coder = Coder::kZstd);
// Fills `out` exactly; refuses a frame that holds more or less.
void decompress_bytes(ByteView coded, Coder coder, std::span<std::byte> out, std::string_view where);

// zstd (level 9) with the bytes of an earlier version as context: unchanged parts cost next to nothing.
Bytes compress_after(ByteView bytes, ByteView previous);
void decompress_after(ByteView coded, ByteView previous, std::span<std::byte> out, std::string_view where);

}  // namespace kinglet::excp
