#include "kinglet/kernels/rans.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>

#include "kinglet/base/error.h"
#include "kinglet/kernels/rans_words.h"

namespace kinglet {
namespace {

// Coded block: mode u8, then
//   raw       the symbols
//   constant  one symbol
//   rans      table, `states` u32 states, u16 words in the order in which the decoder takes them
// Table: u8 (distinct symbols - 1), the symbols ascending (a 32-byte bitmap when there are more than 32), then the
// frequency of each symbol but the last as LEB128 of (frequency - 1); all frequencies add up to 2^14.
enum Mode : std::uint8_t { kRaw = 0, kConstant = 1, kOneState = 2, kEightStates = 3 };

__extension__ using Uint128 = unsigned __int128;

constexpr std::uint32_t kScale = kRansScale;
constexpr std::size_t kFewSymbols = 4096;  // below it, eight states cost more than they save in time
constexpr std::size_t kListLimit = 32;

using Counts = SymbolCounts;
using Frequencies = std::array<std::uint32_t, 256>;

// Frequencies >= 1 for every symbol that occurs, adding up to kScale. What rounding leaves over goes to the commonest
// symbol; what it took too much is taken where it costs the fewest bits.
Frequencies normalise(const Counts& counts, std::uint64_t total) {
  Frequencies frequencies{};
  std::int64_t left = kScale;
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    if (counts[symbol] == 0) continue;
    const Uint128 scaled =
        (static_cast<Uint128>(counts[symbol]) * kScale * 2 + total) / (static_cast<Uint128>(total) * 2);
    frequencies[symbol] = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(scaled));
    left -= frequencies[symbol];
  }
  const auto commonest = static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
  if (left >= 0) {
    frequencies[commonest] += static_cast<std::uint32_t>(left);
    return frequencies;
  }
  for (; left < 0; ++left) {
    std::size_t cheapest = commonest;
    double cheapest_cost = INFINITY;
    for (std::size_t symbol = 0; symbol < 256; ++symbol) {
      if (frequencies[symbol] <= 1) continue;
      const double cost = static_cast<double>(counts[symbol]) / static_cast<double>(frequencies[symbol]);
      if (cost < cheapest_cost) {
        cheapest_cost = cost;
        cheapest = symbol;
      }
    }
    --frequencies[cheapest];
  }
  return frequencies;
}

std::size_t leb128_size(std::uint32_t value) { return value < 128 ? 1 : 2; }

std::size_t table_size(const Frequencies& frequencies) {
  std::size_t distinct = 0, bytes = 0, last = 0;
  for (const std::uint32_t frequency : frequencies) {
    if (frequency == 0) continue;
    ++distinct;
    last = leb128_size(frequency - 1);
    bytes += last;
  }
  return 1 + (distinct <= kListLimit ? distinct : 32) + bytes - last;
}

void append_table(const Frequencies& frequencies, Bytes& out) {
  std::vector<std::uint8_t> present;
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    if (frequencies[symbol] != 0) present.push_back(static_cast<std::uint8_t>(symbol));
  }
  out.push_back(static_cast<std::byte>(present.size() - 1));
  if (present.size() <= kListLimit) {
    for (const std::uint8_t symbol : present) out.push_back(static_cast<std::byte>(symbol));
  } else {
    std::array<std::uint8_t, 32> bitmap{};
    for (const std::uint8_t symbol : present) bitmap[symbol / 8] |= static_cast<std::uint8_t>(1U << symbol % 8);
    for (const std::uint8_t byte : bitmap) out.push_back(static_cast<std::byte>(byte));
  }
  present.pop_back();
  for (const std::uint8_t symbol : present) {
    const std::uint32_t value = frequencies[symbol] - 1;
    if (value >= 128) out.push_back(static_cast<std::byte>(value % 128 + 128));
    out.push_back(static_cast<std::byte>(value < 128 ? value : value / 128));
  }
}

std::array<RansEncoderSymbol, 256> encoder_symbols(const Frequencies& frequencies) {
  std::array<RansEncoderSymbol, 256> table{};
  std::uint32_t cumulative = 0;
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    const std::uint32_t frequency = frequencies[symbol];
    if (frequency == 0) continue;
    RansEncoderSymbol& entry = table[symbol];
    entry.limit = frequency << (32 - kRansScaleBits);
    if (frequency == 1) {  // the product then gives x - 1, which the bias makes good
      entry.reciprocal = ~std::uint64_t{0};
      entry.bias = cumulative + kScale - 1;
    } else {
      entry.reciprocal = ~std::uint64_t{0} / frequency + 1;
      entry.bias = cumulative;
    }
    cumulative += frequency;
  }
  return table;
}

template <typename T>
void append_values(Bytes& out, const T* values, std::size_t count) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values);
  out.insert(out.end(), bytes, bytes + count * sizeof(T));
}

void append_raw(std::span<const std::uint8_t> symbols, Bytes& out) {
  out.push_back(std::byte{kRaw});
  append_values(out, symbols.data(), symbols.size());
}

double coded_bits(const Counts& counts, const Frequencies& frequencies) {
  double bits = 0;
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    if (counts[symbol] != 0) {
      bits +=
          static_cast<double>(counts[symbol]) * (kRansScaleBits - std::log2(static_cast<double>(frequencies[symbol])));
    }
  }
  return bits;
}

std::size_t states_for(std::size_t symbols) { return symbols < kFewSymbols ? 1 : kRansLanes; }

// ------------------------------------------------------------------------------------------------- decoding

class Reader {
 public:
  Reader(ByteView bytes, std::string_view where) : bytes_(bytes), where_(where) {}
  std::uint8_t u8() { return static_cast<std::uint8_t>(take(1)[0]); }
  ByteView take(std::size_t count) {
    if (count > bytes_.size()) throw bad_input(where_, "a coded block ends too early", "the file is damaged");
    const ByteView result = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return result;
  }
  ByteView rest() const { return bytes_; }
  [[noreturn]] void fail(std::string_view what) const { throw bad_input(where_, what, "the file is damaged"); }

 private:
  ByteView bytes_;
  std::string_view where_;
};

Frequencies read_table(Reader& reader) {
  const std::size_t distinct = std::size_t{reader.u8()} + 1;
  std::vector<std::uint8_t> present;
  if (distinct <= kListLimit) {
    for (const std::byte symbol : reader.take(distinct)) present.push_back(static_cast<std::uint8_t>(symbol));
    if (std::adjacent_find(present.begin(), present.end(), std::greater_equal<>()) != present.end()) {
      reader.fail("the symbols of a coding table are not ascending");
    }
  } else {
    const ByteView bitmap = reader.take(32);
    for (std::size_t symbol = 0; symbol < 256; ++symbol) {
      if ((static_cast<unsigned>(bitmap[symbol / 8]) >> symbol % 8 & 1U) != 0) {
        present.push_back(static_cast<std::uint8_t>(symbol));
      }
    }
    if (present.size() != distinct) reader.fail("the symbol bitmap of a coding table has a wrong count");
  }
  Frequencies frequencies{};
  std::uint32_t total = 0;
  for (std::size_t i = 0; i + 1 < present.size(); ++i) {
    std::uint32_t value = reader.u8();
    if (value >= 128) value = value - 128 + 128U * reader.u8();
    frequencies[present[i]] = value + 1;
    total += value + 1;
    if (total >= kScale) reader.fail("the frequencies of a coding table add up to too much");
  }
  frequencies[present.back()] = kScale - total;
  return frequencies;
}

RansDecoderTable decoder_table(const Frequencies& frequencies) {
  RansDecoderTable table;
  table.entries = {};
  std::uint32_t cumulative = 0;
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    const std::uint32_t frequency = frequencies[symbol];
    if (frequency == 0) continue;
    table.entries[symbol] = {static_cast<std::uint16_t>(frequency), static_cast<std::uint16_t>(cumulative)};
    std::memset(table.symbol_of_slot.data() + cumulative, static_cast<int>(symbol), frequency);
    cumulative += frequency;
  }
  return table;
}

void decode_words(Reader& reader, const RansDecoderTable& table, std::size_t lanes, std::span<std::uint8_t> symbols) {
  std::array<std::uint32_t, kRansLanes> x{};
  const ByteView states = reader.take(lanes * sizeof(std::uint32_t));
  std::memcpy(x.data(), states.data(), states.size());
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    if (x[lane] < kRansLowerBound) reader.fail("a coder state is out of range");
  }
  ByteView words = reader.rest();
  if (words.size() % 2 != 0) reader.fail("a coded block has an odd length");
  std::size_t used = 0;
  std::size_t i =
      rans_decode_rounds(table, words.data(), words.size() / 2, lanes, x.data(), symbols.data(), symbols.size(), &used);
  words = words.subspan(2 * used);
  for (; i < symbols.size(); ++i) {
    std::uint32_t& state = x[i % lanes];
    symbols[i] = rans_decode_symbol(table, state);
    if (state >= kRansLowerBound) continue;
    if (words.empty()) reader.fail("a coded block ends too early");
    std::uint16_t word;
    std::memcpy(&word, words.data(), sizeof(word));
    state = state << 16 | word;
    words = words.subspan(2);
  }
  const bool at_start = std::all_of(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(lanes),
                                    [](std::uint32_t state) { return state == kRansLowerBound; });
  if (!words.empty() || !at_start) reader.fail("a coded block does not decode to its end");
}

}  // namespace

SymbolCounts count_symbols(std::span<const std::uint8_t> symbols) {
  std::array<std::array<std::uint32_t, 256>, 4> tables{};
  Counts counts{};
  constexpr std::size_t kBatch = std::size_t{1} << 30;  // u32 counters cannot overflow within a batch
  for (std::size_t begin = 0; begin < symbols.size(); begin += kBatch) {
    const auto batch = symbols.subspan(begin, std::min(kBatch, symbols.size() - begin));
    for (auto& table : tables) table.fill(0);
    std::size_t i = 0;
    for (; i + 4 <= batch.size(); i += 4) {
      for (std::size_t lane = 0; lane < 4; ++lane) ++tables[lane][batch[i + lane]];
    }
    for (; i < batch.size(); ++i) ++tables[0][batch[i]];
    for (std::size_t symbol = 0; symbol < 256; ++symbol) {
      for (const auto& table : tables) counts[symbol] += table[symbol];
    }
  }
  return counts;
}

double order0_entropy_bits(std::span<const std::uint8_t> symbols) {
  const Counts counts = count_symbols(symbols);
  double bits = 0;
  for (const std::uint64_t count : counts) {
    if (count == 0) continue;
    bits -= static_cast<double>(count) * std::log2(static_cast<double>(count) / static_cast<double>(symbols.size()));
  }
  return bits;
}

RansModel rans_model(const SymbolCounts& counts) {
  const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  const auto raw_bytes = static_cast<double>(total + 1);
  if (total == 0) return {{}, raw_bytes};
  if (std::find(counts.begin(), counts.end(), total) != counts.end()) return {{}, 2};
  const Frequencies frequencies = normalise(counts, total);
  const double bytes =
      1 + static_cast<double>(table_size(frequencies) + 4 * states_for(total)) + coded_bits(counts, frequencies) / 8;
  if (bytes >= raw_bytes) return {{}, raw_bytes};
  return {frequencies, bytes};
}

void rans_encode(std::span<const std::uint8_t> symbols, Bytes& out) {
  rans_encode(symbols, rans_model(count_symbols(symbols)), out);
}

void rans_encode(std::span<const std::uint8_t> symbols, const RansModel& model, Bytes& out) {
  const Frequencies& frequencies = model.frequencies;
  if (std::all_of(frequencies.begin(), frequencies.end(), [](std::uint32_t frequency) { return frequency == 0; })) {
    if (symbols.empty() || model.bytes > 2) return append_raw(symbols, out);
    out.push_back(std::byte{kConstant});
    out.push_back(static_cast<std::byte>(symbols[0]));
    return;
  }
  const std::size_t states = states_for(symbols.size());
  // A word is given away at most once a symbol; one more place because the encoder writes before it decides.
  // Not initialised: only the end is touched when the stream compresses well.
  const std::unique_ptr<std::uint16_t[]> words(new std::uint16_t[symbols.size() + 1]);
  std::array<std::uint32_t, kRansLanes> x;
  x.fill(kRansLowerBound);
  const std::array<RansEncoderSymbol, 256> table = encoder_symbols(frequencies);
  std::uint16_t* const end = words.get() + symbols.size() + 1;
  const std::uint16_t* const begin =
      rans_encode_words(symbols.data(), symbols.size(), table.data(), states, x.data(), end);

  const std::size_t start = out.size();
  out.push_back(states == 1 ? std::byte{kOneState} : std::byte{kEightStates});
  append_table(frequencies, out);
  append_values(out, x.data(), states);
  append_values(out, begin, static_cast<std::size_t>(end - begin));
  if (out.size() - start > symbols.size()) {
    out.resize(start);
    append_raw(symbols, out);
  }
}

void rans_decode(ByteView coded, std::span<std::uint8_t> symbols, std::string_view where) {
  Reader reader(coded, where);
  const std::uint8_t mode = reader.u8();
  if (mode == kRaw) {
    const ByteView bytes = reader.take(symbols.size());
    if (!reader.rest().empty()) reader.fail("a raw block is longer than its symbols");
    if (!bytes.empty()) std::memcpy(symbols.data(), bytes.data(), bytes.size());
  } else if (mode == kConstant) {
    const std::uint8_t symbol = reader.u8();
    if (!reader.rest().empty()) reader.fail("a constant block is too long");
    std::fill(symbols.begin(), symbols.end(), symbol);
  } else if (mode == kOneState || mode == kEightStates) {
    const RansDecoderTable table = decoder_table(read_table(reader));
    decode_words(reader, table, mode == kOneState ? 1 : kRansLanes, symbols);
  } else {
    reader.fail("unknown coding mode");
  }
}

}  // namespace kinglet
