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

constexpr std::size_t kFewSymbols = 4096;  // a table for packed symbols cannot pay below this
constexpr double kPackedTolerance = 1.01;  // packed symbols take half the time

std::size_t packed_size(std::size_t n, int bits) { return (n * static_cast<std::size_t>(bits) + 7) / 8; }

std::vector<std::uint8_t> pack(std::span<const std::uint8_t> symbols, int bits) {
  std::vector<std::uint8_t> packed(packed_size(symbols.size(), bits));
  pack_bits(symbols.data(), symbols.size(), bits, packed.data());
  return packed;
}

void encode_with_rans(std::span<const std::uint8_t> symbols, int bits, Bytes& out) {
  const RansModel single = rans_model(symbols);
  if (bits == 8 || symbols.size() < kFewSymbols) {
    // Few symbols that do not compress are still worth packing.
    if (bits == 8 || single.bytes <= static_cast<double>(packed_size(symbols.size(), bits))) {
      out.push_back(std::byte{kSingle});
      return rans_encode(symbols, single, out);
    }
  }
  const std::vector<std::uint8_t> packed = pack(symbols, bits);
  const RansModel pairs = rans_model(packed);
  if (pairs.bytes <= single.bytes * kPackedTolerance) {
    out.push_back(std::byte{kPacked});
    rans_encode(packed, pairs, out);
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
