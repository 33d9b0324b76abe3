// The entropy coders: any bytes decode to exactly the asked number of elements or are refused; what is encoded decodes
// to itself.
//
// Input: mode u8, parameter u8, n u16, then coded bytes or symbols.
#include <algorithm>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/base/byte_io.h"
#include "kinglet/kernels/rans.h"
#include "kinglet/methods/excp/lossless_codec.h"
#include "kinglet/methods/excp/symbol_stream.h"

namespace kinglet::fuzz {
namespace {

using Symbols = std::vector<std::uint8_t>;

constexpr std::uint64_t kMaxRansElements = 1 << 14;  // a few coded bytes may stand for many elements: bounds the work

Symbols symbols_of(ByteView bytes) {
  Symbols symbols(bytes.size());
  std::transform(bytes.begin(), bytes.end(), symbols.begin(),
                 [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
  return symbols;
}

void check_rans_encoder(const Symbols& symbols) {
  Bytes coded;
  rans_encode(symbols, coded);
  require(coded.size() <= symbols.size() + 1, "a coded block is at most a byte longer than its symbols");
  Symbols decoded(symbols.size());
  rans_decode(coded, decoded, "coded");
  require(decoded == symbols, "symbols survive rANS");
}

void check_rans_decoder(ByteView coded, std::uint64_t n) {
  Symbols symbols(n);
  if (accepted([&] { rans_decode(coded, symbols, "input"); })) check_rans_encoder(symbols);
}

void check_symbol_encoder(const Symbols& symbols, int bits, excp::Coder coder) {
  Bytes coded;
  excp::encode_symbols(symbols, bits, coder, coded);
  Symbols decoded(symbols.size());
  excp::decode_symbols(coded, bits, coder, decoded, "coded");
  require(decoded == symbols, "classes survive coding");
}

void check_symbol_decoder(ByteView coded, std::uint64_t n, int bits, excp::Coder coder) {
  Symbols symbols(n);
  if (!accepted([&] { excp::decode_symbols(coded, bits, coder, symbols, "input"); })) return;
  require(std::all_of(symbols.begin(), symbols.end(), [bits](std::uint8_t symbol) { return symbol >> bits == 0; }),
          "classes are in range");
  check_symbol_encoder(symbols, bits, coder);
}

void check_array_encoder(ByteView elements, DType dtype, ByteView prediction) {
  Bytes coded;
  excp::encode_array_block(elements, dtype, prediction, coded);
  Bytes decoded(elements.size());
  excp::decode_array_block(coded, dtype, prediction, decoded, "coded");
  require(std::ranges::equal(decoded, elements), "elements survive coding");
}

void check_array_decoder(ByteView coded, std::uint64_t n, DType dtype, ByteView prediction) {
  Bytes elements(n * item_size(dtype));
  if (!accepted([&] { excp::decode_array_block(coded, dtype, prediction, elements, "input"); })) return;
  check_array_encoder(elements, dtype, prediction);
}

void check_bytes(ByteView bytes, excp::Coder coder, std::uint64_t n) {
  Bytes out(n);
  accepted([&] { excp::decompress_bytes(bytes, coder, out, "input"); });
}

void check(std::uint8_t mode, std::uint8_t parameter, std::uint64_t n, ByteView rest) {
  const auto dtype = static_cast<DType>(parameter % 17);
  const int bits = 1 << parameter % 4;
  const auto coder = static_cast<excp::Coder>(parameter / 4 % 3);
  Bytes prediction;  // any values that are not all alike
  if (parameter >= 128 && (dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16)) {
    prediction.resize(n * item_size(dtype));
    for (std::size_t i = 0; i < prediction.size(); ++i) prediction[i] = static_cast<std::byte>(i * 37);
  }
  switch (mode % 7) {
    case 0:
      return check_rans_decoder(rest, n);
    case 1:
      return check_rans_encoder(symbols_of(rest));
    case 2:
      return check_symbol_decoder(rest, n, bits, coder);
    case 3: {
      Symbols symbols = symbols_of(rest);
      for (std::uint8_t& symbol : symbols) symbol &= static_cast<std::uint8_t>((1 << bits) - 1);
      return check_symbol_encoder(symbols, bits, coder);
    }
    case 4:
      return check_array_decoder(rest, n, dtype, prediction);
    case 5: {
      const std::size_t whole = std::min<std::size_t>(rest.size() / item_size(dtype), n) * item_size(dtype);
      prediction.resize(prediction.empty() ? 0 : whole);
      return check_array_encoder(rest.first(whole), dtype, prediction);
    }
    default:
      return check_bytes(rest, parameter % 2 == 0 ? excp::Coder::kZstd : excp::Coder::kXz, n);
  }
}

void check_rans(ByteView input) {
  if (input.size() < 4 || input.size() > kMaxRansElements) return;
  ByteReader reader(input, "input");
  const auto mode = reader.number<std::uint8_t>(), parameter = reader.number<std::uint8_t>();
  const std::uint64_t n = reader.number<std::uint16_t>() % kMaxRansElements;
  check(mode, parameter, n, reader.take(reader.remaining()));
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(rans, kinglet::fuzz::check_rans)
