#include "kinglet/kernels/rans_words.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/rans_words.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kinglet/kernels/loops.h"

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
KINGLET_SCALAR_LOOPS
#endif
namespace kinglet {
namespace HWY_NAMESPACE {

// Nothing here is a vector; the later instruction sets bring shifts and multiplications without flags.
__extension__ using Uint128 = unsigned __int128;

HWY_INLINE std::uint32_t EncodeSymbol(std::uint32_t state, const RansEncoderSymbol& entry, std::uint16_t*& end) {
  end[-1] = static_cast<std::uint16_t>(state);
  const std::uint32_t emit = state >= entry.limit ? 1 : 0;
  end -= emit;
  state >>= emit * 16;
  const auto quotient = static_cast<std::uint32_t>(static_cast<Uint128>(state) * entry.reciprocal >> 64);
  const std::uint32_t complement = kRansScale - (entry.limit >> (32 - kRansScaleBits));
  return state + entry.bias + quotient * complement;
}

template <std::size_t kLanes>
std::uint16_t* EncodeLanes(const std::uint8_t* symbols, std::size_t n, const RansEncoderSymbol* table,
                           std::uint32_t* states, std::uint16_t* end) {
  std::uint32_t x[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) x[lane] = states[lane];
  std::size_t i = n;
  for (; i % kLanes != 0; --i) {
    std::uint32_t& state = x[(i - 1) % kLanes];
    state = EncodeSymbol(state, table[symbols[i - 1]], end);
  }
  for (; i > 0; i -= kLanes) {
    for (std::size_t lane = kLanes; lane > 0; --lane) {
      x[lane - 1] = EncodeSymbol(x[lane - 1], table[symbols[i - kLanes + lane - 1]], end);
    }
  }
  for (std::size_t lane = 0; lane < kLanes; ++lane) states[lane] = x[lane];
  return end;
}

std::uint16_t* EncodeWords(const std::uint8_t* symbols, std::size_t n, const RansEncoderSymbol* table,
                           std::size_t lanes, std::uint32_t* states, std::uint16_t* end) {
  return lanes == 1 ? EncodeLanes<1>(symbols, n, table, states, end)
                    : EncodeLanes<kRansLanes>(symbols, n, table, states, end);
}

HWY_INLINE std::uint8_t DecodeSymbol(const std::uint8_t* symbol_of_slot, const RansDecoderTable::Entry* entries,
                                     std::uint32_t& state, const std::byte*& next) {
  const std::uint32_t slot = state & (kRansScale - 1);
  const std::uint8_t symbol = symbol_of_slot[slot];
  const RansDecoderTable::Entry entry = entries[symbol];
  const std::uint32_t decoded = entry.frequency * (state >> kRansScaleBits) + slot - entry.cumulative;
  std::uint16_t word;
  __builtin_memcpy(&word, next, sizeof(word));
  const bool refill = decoded < kRansLowerBound;
  state = refill ? decoded << 16 | word : decoded;
  next += refill ? 2 : 0;
  return symbol;
}

template <std::size_t kLanes>
std::size_t DecodeLanes(const std::uint8_t* symbol_of_slot, const RansDecoderTable::Entry* entries,
                        const std::byte* words, std::size_t num_words, std::uint32_t* states, std::uint8_t* symbols,
                        std::size_t n, std::size_t* words_used) {
  std::uint32_t x[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) x[lane] = states[lane];
  const std::byte* next = words;
  const std::byte* const end = words + 2 * num_words;
  std::size_t i = 0;
  for (; i + kLanes <= n && end - next >= static_cast<std::ptrdiff_t>(2 * kLanes); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      symbols[i + lane] = DecodeSymbol(symbol_of_slot, entries, x[lane], next);
    }
  }
  for (std::size_t lane = 0; lane < kLanes; ++lane) states[lane] = x[lane];
  *words_used = static_cast<std::size_t>(next - words) / 2;
  return i;
}

std::size_t DecodeRounds(const std::uint8_t* symbol_of_slot, const RansDecoderTable::Entry* entries,
                         const std::byte* words, std::size_t num_words, std::size_t lanes, std::uint32_t* states,
                         std::uint8_t* symbols, std::size_t n, std::size_t* words_used) {
  return lanes == 1
             ? DecodeLanes<1>(symbol_of_slot, entries, words, num_words, states, symbols, n, words_used)
             : DecodeLanes<kRansLanes>(symbol_of_slot, entries, words, num_words, states, symbols, n, words_used);
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kinglet {

HWY_EXPORT(EncodeWords);
HWY_EXPORT(DecodeRounds);

std::uint16_t* rans_encode_words(const std::uint8_t* symbols, std::size_t n, const RansEncoderSymbol* table,
                                 std::size_t lanes, std::uint32_t* states, std::uint16_t* end) {
  return HWY_DYNAMIC_DISPATCH(EncodeWords)(symbols, n, table, lanes, states, end);
}

std::size_t rans_decode_rounds(const RansDecoderTable& table, const std::byte* words, std::size_t num_words,
                               std::size_t lanes, std::uint32_t* states, std::uint8_t* symbols, std::size_t n,
                               std::size_t* words_used) {
  return HWY_DYNAMIC_DISPATCH(DecodeRounds)(table.symbol_of_slot.data(), table.entries.data(), words, num_words, lanes,
                                            states, symbols, n, words_used);
}

}  // namespace kinglet
#endif  // HWY_ONCE
