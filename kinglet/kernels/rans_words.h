// The inner loops of the rANS coder; rans.h is the interface for everybody else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace kinglet {

inline constexpr unsigned kRansScaleBits = 14;  // frequencies add up to 2^14
inline constexpr std::uint32_t kRansScale = 1U << kRansScaleBits;
inline constexpr std::uint32_t kRansLowerBound = 1U << 16;  // states stay in [2^16, 2^32)
inline constexpr std::size_t kRansLanes = 8;                // interleaved states; symbol i belongs to state i % 8

// Division by the frequency as a multiplication; the bias makes frequency 1 work too.
struct RansEncoderSymbol {
  std::uint64_t reciprocal = 0;  // ceil(2^64 / frequency), for frequency 1 just below
  std::uint32_t limit = 0;       // frequency << 18: states from here on must first give a word away
  std::uint32_t bias = 0;
};

struct RansDecoderTable {
  std::array<std::uint8_t, kRansScale> symbol_of_slot;
  struct Entry {
    std::uint16_t frequency = 0;
    std::uint16_t cumulative = 0;
  };
  std::array<Entry, 256> entries;
};

// Codes symbols[n - 1] ... symbols[0] with `lanes` (1 or 8) states, writing words downwards from `end`; one place below
// the last word may be overwritten. Returns the lowest word. table: [256]; states: [lanes], updated.
std::uint16_t* rans_encode_words(const std::uint8_t* symbols, std::size_t n, const RansEncoderSymbol* table,
                                 std::size_t lanes, std::uint32_t* states, std::uint16_t* end);

// Decodes whole rounds of `lanes` symbols while a round cannot run out of words. words: [num_words], may be unaligned.
// Returns the number of symbols decoded; *words_used gets the number of words taken.
std::size_t rans_decode_rounds(const RansDecoderTable& table, const std::byte* words, std::size_t num_words,
                               std::size_t lanes, std::uint32_t* states, std::uint8_t* symbols, std::size_t n,
                               std::size_t* words_used);

// One symbol; the caller refills a state below kRansLowerBound.
inline std::uint8_t rans_decode_symbol(const RansDecoderTable& table, std::uint32_t& state) {
  const std::uint32_t slot = state & (kRansScale - 1);
  const std::uint8_t symbol = table.symbol_of_slot[slot];
  const RansDecoderTable::Entry entry = table.entries[symbol];
  state = entry.frequency * (state >> kRansScaleBits) + slot - entry.cumulative;
  return symbol;
}

}  // namespace kinglet
