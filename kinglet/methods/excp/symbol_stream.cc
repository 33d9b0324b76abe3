#include "kinglet/methods/excp/symbol_stream.h"

#include <algorithm>
#include <vector>

#include "kinglet/base/error.h"
#include "kinglet/kernels/quantize.h"
#include "kinglet/kernels/rans.h"
#include "kinglet/methods/excp/lossless_codec.h"

namespace kinglet::excp {
namespace {

enum Representation : std::uint8_t { kSingle = 0, kPacked = 1 };

constexpr double kPackedTolerance = 1.01;  // packed symbols take half the time

std::size_t packed_size(std::size_t n, int bits) { return (n * static_cast<std::size_t>(bits) + 7) / 8; }

std::vector<std::uint8_t> pack(std::span<const std::uint8_t> symbols, int bits) {
  std::vector<std::uint8_t> packed(packed_size(symbols.size(), bits));
  pack_bits(symbols.data(), symbols.size(), bits, packed.data());
  return packed;
}

// Counts of the single symbols from those of the packed ones. `padding`: zero symbols that packing added.
SymbolCounts single_counts(const SymbolCounts& packed, int bits, std::uint64_t padding) {
  SymbolCounts counts{};
  const unsigned mask = (1U << bits) - 1;
  for (unsigned byte = 0; byte < 256; ++byte) {
    for (int shift = 0; shift < 8; shift += bits) counts[byte >> shift & mask] += packed[byte];
  }
  counts[0] -= padding;
  return counts;
}

void encode_with_rans(std::span<const std::uint8_t> symbols, int bits, Bytes& out) {
  if (bits == 8) {
    out.push_back(std::byte{kSingle});
    return rans_encode(symbols, out);
  }
  const std::vector<std::uint8_t> packed = pack(symbols, bits);
  const SymbolCounts counts = count_symbols(packed);
  const RansModel together = rans_model(counts);
  const RansModel single =
      rans_model(single_counts(counts, bits, packed.size() * 8 / static_cast<unsigned>(bits) - symbols.size()));
  if (together.bytes <= single.bytes * kPackedTolerance) {
    out.push_back(std::byte{kPacked});
    rans_encode(packed, together, out);
  } else {
    out.push_back(std::byte{kSingle});
    rans_encode(symbols, single, out);
  }
}

}  // namespace

void encode_symbols(std::span<const std::uint8_t> symbols, int bits, Coder coder, Bytes& out) {
  if (coder == Coder::kRans) return encode_with_rans(symbols, bits, out);
  const std::vector<std::uint8_t> packed = pack(symbols, bits);
  out.push_back(std::byte{kPacked});
  const Bytes coded = compress_bytes(std::as_bytes(std::span(packed)), coder);
  out.insert(out.end(), coded.begin(), coded.end());
}

void decode_symbols(ByteView coded, int bits, Coder coder, std::span<std::uint8_t> symbols, std::string_view where) {
  if (coded.empty()) throw bad_input(where, "a coded stream is empty", "the file is damaged");
  const auto representation = static_cast<std::uint8_t>(coded[0]);
  coded = coded.subspan(1);
  if (representation == kSingle && coder == Coder::kRans) {
    rans_decode(coded, symbols, where);
    const bool in_range = bits == 8 || std::all_of(symbols.begin(), symbols.end(),
                                                   [bits](std::uint8_t symbol) { return symbol >> bits == 0; });
    if (!in_range) throw bad_input(where, "a class index is out of range", "the file is damaged");
    return;
  }
  if (representation != kPacked) throw bad_input(where, "unknown stream representation", "the file is damaged");
  std::vector<std::uint8_t> packed(packed_size(symbols.size(), bits));
  if (coder == Coder::kRans)
    rans_decode(coded, packed, where);
  else
    decompress_bytes(coded, coder, std::as_writable_bytes(std::span(packed)), where);
  unpack_bits(packed.data(), symbols.size(), bits, symbols.data());
}

}  // namespace kinglet::excp
