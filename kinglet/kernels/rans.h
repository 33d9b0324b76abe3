// Static order-0 rANS over bytes (Duda 2013; 32-bit states, 16-bit words, 14-bit probabilities, 8 interleaved states).
//
// A coded block is self-contained: mode byte, frequency table in a compact form, states, words. Blocks that would not
// shrink are stored raw, constant blocks as one byte. The decoder trusts nothing: it checks the table's sum, every
// read, that all states return to their start and that every word was used, and raises Error (bad input) otherwise.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kinglet/base/files.h"

namespace kinglet {

// What the coder would do with a stream: its frequencies (out of 2^14; all zero for an empty or constant stream, or one
// that is better stored raw) and the size of the coded block in bytes, exact for those and within a few bytes
// otherwise.
struct RansModel {
  std::array<std::uint32_t, 256> frequencies{};
  double bytes = 0;
};
using SymbolCounts = std::array<std::uint64_t, 256>;
SymbolCounts count_symbols(std::span<const std::uint8_t> symbols);
RansModel rans_model(const SymbolCounts& counts);

// Appends the coded form of `symbols` to `out`. `model`: of the same symbols.
void rans_encode(std::span<const std::uint8_t> symbols, const RansModel& model, Bytes& out);
void rans_encode(std::span<const std::uint8_t> symbols, Bytes& out);

// Decodes exactly symbols.size() symbols from exactly the bytes of `coded`.
void rans_decode(ByteView coded, std::span<std::uint8_t> symbols, std::string_view where);

// Order-0 entropy in bits of the byte stream: the limit that an order-0 coder can reach.
double order0_entropy_bits(std::span<const std::uint8_t> symbols);

}  // namespace kinglet
