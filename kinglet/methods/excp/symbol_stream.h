// A stream of class indices, entropy coded. [specification 2.7]
//
// Coded: representation u8 (one symbol a byte, or packed 8/bits a byte), then the coder's bytes. With rANS the smaller
// representation is chosen; packed wins near ties because it is faster. zstd and xz always code the packed form.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kinglet/base/files.h"
#include "kinglet/methods/excp/options.h"

namespace kinglet::excp {

// Appends to `out`. symbols < 2^bits.
void encode_symbols(std::span<const std::uint8_t> symbols, int bits, Coder coder, Bytes& out);

// Decodes exactly symbols.size() symbols, all < 2^bits. Raises Error (bad input) on any disagreement.
void decode_symbols(ByteView coded, int bits, Coder coder, std::span<std::uint8_t> symbols, std::string_view where);

}  // namespace kinglet::excp
