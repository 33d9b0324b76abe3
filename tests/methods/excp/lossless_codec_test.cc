// Lossless blocks of every dtype, with and without prediction; plain bytes; damage.
#include "kinglet/methods/excp/lossless_codec.h"

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "kinglet/base/error.h"
#include "kinglet/base/rng.h"

namespace kinglet::excp {
namespace {

Bytes random_bytes(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  Bytes bytes(n);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng.below(256));
  return bytes;
}

Bytes weights(std::size_t n, std::uint64_t seed, double step = 0) {
  Rng rng(seed), noise(seed + 1000);
  Bytes bytes(n * 4);
  for (std::size_t i = 0; i < n; ++i) {
    const auto value = static_cast<float>(0.02 * rng.normal() + step * noise.normal());
    std::memcpy(bytes.data() + 4 * i, &value, 4);
  }
  return bytes;
}

std::size_t round_trip(const Bytes& elements, DType dtype, const Bytes& prediction) {
  Bytes coded;
  encode_array_block(elements, dtype, prediction, coded);
  Bytes decoded(elements.size());
  decode_array_block(coded, dtype, prediction, decoded, "test");
  EXPECT_EQ(decoded, elements);
  return coded.size();
}

TEST(LosslessCodec, EveryDTypeRoundTrips) {
  for (std::uint8_t code = 0; code <= static_cast<std::uint8_t>(DType::kC128); ++code) {
    const auto dtype = static_cast<DType>(code);
    for (const std::size_t n : {0U, 1U, 1000U}) round_trip(random_bytes(n * item_size(dtype), n + code), dtype, {});
  }
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    round_trip(random_bytes(1000 * item_size(dtype), 1), dtype, random_bytes(1000 * item_size(dtype), 2));
  }
}

TEST(LosslessCodec, WeightsShrinkAndPredictionShrinksThemFurther) {
  const std::size_t n = 200000;
  const Bytes before = weights(n, 1), after = weights(n, 1, 1e-6);
  const std::size_t plain = round_trip(after, DType::kF32, {}), predicted = round_trip(after, DType::kF32, before);
  EXPECT_LT(plain, 4 * n * 87 / 100);
  EXPECT_LT(predicted, plain * 3 / 4);
}

TEST(LosslessCodec, DamageIsRefused) {
  Bytes coded;
  const Bytes elements = weights(5000, 3);
  encode_array_block(elements, DType::kF32, {}, coded);
  Bytes decoded(elements.size());
  for (std::size_t length = 0; length < coded.size(); length += 97) {
    EXPECT_THROW(decode_array_block(ByteView(coded).first(length), DType::kF32, {}, decoded, "test"), Error);
  }
  EXPECT_THROW(decode_array_block(coded, DType::kF32, elements, decoded, "test"), Error);  // no prediction was used
  coded.push_back(std::byte{0});
  EXPECT_THROW(decode_array_block(coded, DType::kF32, {}, decoded, "test"), Error);
}

TEST(LosslessCodec, PlainBytesWithBothCoders) {
  const Bytes bytes = weights(3000, 4);
  for (const Coder coder : {Coder::kZstd, Coder::kXz}) {
    const Bytes coded = compress_bytes(bytes, coder);
    Bytes out(bytes.size());
    decompress_bytes(coded, coder, out, "test");
    EXPECT_EQ(out, bytes);
    Bytes wrong_size(bytes.size() - 1), larger(bytes.size() + 1);
    EXPECT_THROW(decompress_bytes(coded, coder, wrong_size, "test"), Error);
    EXPECT_THROW(decompress_bytes(coded, coder, larger, "test"), Error);
    EXPECT_THROW(decompress_bytes(ByteView(coded).first(coded.size() / 2), coder, out, "test"), Error);
  }
}

TEST(LosslessCodec, AnEarlierVersionMakesBytesAlmostFree) {
  const Bytes before = random_bytes(300000, 5);
  Bytes after = before;
  after[1000] = std::byte{1};
  after.insert(after.begin() + 200000, 50, std::byte{7});
  const Bytes coded = compress_after(after, before);
  EXPECT_LT(coded.size(), 200U);
  Bytes out(after.size());
  decompress_after(coded, before, out, "test");
  EXPECT_EQ(out, after);
  Bytes empty;
  decompress_after(compress_after({}, before), before, empty, "test");
}

}  // namespace
}  // namespace kinglet::excp
