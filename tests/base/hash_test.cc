#include "kinglet/base/hash.h"

#include <gtest/gtest.h>

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

Bytes random_bytes(std::size_t size, std::uint64_t seed) {
  Rng rng(seed);
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng.next());
  return bytes;
}

TEST(Xxh3, KnownValues) {
  EXPECT_EQ(xxh3({}), 0x2d06800538d394c2u);  // the reference implementation's value for no input
  EXPECT_EQ(hex64(xxh3(as_bytes("abc"))), "78af5f94892f3950");
  EXPECT_EQ(hex64(0), "0000000000000000");
  EXPECT_EQ(hex64(0xABCDEF), "0000000000abcdef");
}

TEST(Xxh3, TheStreamEqualsTheWholeForEveryCut) {
  const Bytes bytes = random_bytes(3000, 1);
  const std::uint64_t whole = xxh3(bytes);
  for (std::size_t cut = 0; cut <= bytes.size(); cut += 37) {
    Xxh3Stream stream;
    stream.update(ByteView(bytes).first(cut));
    stream.update({});
    stream.update(ByteView(bytes).subspan(cut));
    EXPECT_EQ(stream.digest(), whole) << cut;
    EXPECT_EQ(stream.digest(), whole);  // reading it changes nothing
  }
}

TEST(Crc32c, KnownValues) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283u);  // the polynomial's check value
  EXPECT_EQ(crc32c({}), 0u);
  EXPECT_EQ(crc32c(Bytes(32)), 0x8A9136AAu);  // RFC 3720, B.4
}

TEST(Crc32, KnownValues) {
  EXPECT_EQ(crc32(as_bytes("123456789")), 0xCBF43926u);  // the polynomial's check value
  EXPECT_EQ(crc32(as_bytes("The quick brown fox jumps over the lazy dog")), 0x414FA339u);
  EXPECT_EQ(crc32({}), 0u);
  EXPECT_EQ(crc32(Bytes(32)), 0x190A55ADu);
}

TEST(Crc32, ContinuesAndCombinesAtEveryCut) {
  const Bytes bytes = random_bytes(500, 2);
  const std::uint32_t whole = crc32(bytes);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const ByteView first = ByteView(bytes).first(cut), second = ByteView(bytes).subspan(cut);
    EXPECT_EQ(crc32(second, crc32(first)), whole) << cut;
    EXPECT_EQ(crc32_combine(crc32(first), crc32(second), second.size()), whole) << cut;
  }
}

}  // namespace
}  // namespace kinglet
