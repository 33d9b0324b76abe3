// Static order-0 rANS over bytes (Duda 2013; 32-bit states, 16-bit words, 14-bit probabilities, 8 interleaved states).
//
// A coded block is self-contained: mode byte, frequency table in a compact form, states, words. Blocks that would not
// shrink are stored raw, constant blocks as one byte. The decoder trusts nothing: it checks the table's sum, every
// read, that all states return to their start and that every word was used, and raises Error (bad input) otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kinglet/base/files.h"

namespace kinglet {

// Appends the coded form of `symbols` to `out`.
void rans_encode(std::span<const std::uint8_t> symbols, Bytes& out);

// Decodes exactly symbols.size() symbols from exactly the bytes of `coded`.
void rans_decode(ByteView coded, std::span<std::uint8_t> symbols, std::string_view where);

// Bytes that rans_encode would append, to within a few, without its raw and constant modes.
double rans_size_estimate(std::span<const std::uint8_t> symbols);

// Order-0 entropy in bits of the byte stream: the limit that an order-0 coder can reach.
double order0_entropy_bits(std::span<const std::uint8_t> symbols);

}  // namespace kinglet
