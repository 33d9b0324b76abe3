#include "kinglet/base/byte_io.h"

#include <limits>

#include <gtest/gtest.h>

namespace kinglet {
namespace {

TEST(ByteIo, NumbersAreLittleEndian) {
  Bytes bytes;
  ByteWriter(bytes).number(std::uint32_t{0x01020304});
  EXPECT_EQ(as_text(bytes), "\x04\x03\x02\x01");
  EXPECT_EQ(ByteReader(bytes, "x").number<std::uint32_t>(), 0x01020304u);
}

TEST(ByteIo, VarintsRoundTripAtEveryLength) {
  for (unsigned bits = 0; bits <= 64; ++bits) {
    for (const std::uint64_t delta : {0, 1, 2}) {
      const std::uint64_t value = (bits == 64 ? 0 : std::uint64_t{1} << bits) - delta;
      Bytes bytes;
      ByteWriter(bytes).varint(value);
      ByteReader reader(bytes, "x");
      EXPECT_EQ(reader.varint(), value);
      EXPECT_NO_THROW(reader.expect_end());
    }
  }
}

TEST(ByteIo, RefusesVarintsThatOverflowOrNeverEnd) {
  const Bytes endless(20, std::byte{0x80});
  EXPECT_THROW(ByteReader(endless, "x").varint(), Error);
  Bytes too_large(9, std::byte{0xFF});
  too_large.push_back(std::byte{2});  // bit 64
  EXPECT_THROW(ByteReader(too_large, "x").varint(), Error);
  too_large.back() = std::byte{1};
  EXPECT_EQ(ByteReader(too_large, "x").varint(), std::numeric_limits<std::uint64_t>::max());
}

TEST(ByteIo, TextsAndCountsHaveLimits) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.text("hello");
  writer.number(2.5);
  ByteReader reader(bytes, "x");
  EXPECT_EQ(reader.text(5), "hello");
  EXPECT_EQ(reader.number<double>(), 2.5);
  EXPECT_EQ(reader.remaining(), 0u);
  EXPECT_THROW(ByteReader(bytes, "x").text(4), Error);
  EXPECT_THROW(ByteReader(bytes, "x").count(4, "a size"), Error);
  EXPECT_THROW(ByteReader(bytes, "x").expect_end(), Error);
}

TEST(ByteIo, EveryCutIsAnError) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.number(std::uint64_t{7});
  writer.varint(1000);
  writer.text("name");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ByteReader reader(ByteView(bytes).first(size), "file");
    try {
      reader.number<std::uint64_t>();
      reader.varint();
      reader.text(100);
      FAIL() << size;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
      EXPECT_EQ(std::string_view(error.what()).substr(0, 6), "file: ");
    }
  }
}

}  // namespace
}  // namespace kinglet
