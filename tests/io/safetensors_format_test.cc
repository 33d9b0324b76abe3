// Every rule of the safetensors format, broken one at a time.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/little_endian.h"
#include "tests/support/refusal.h"

#include "kinglet/base/rng.h"
#include "kinglet/io/safetensors.h"

namespace kinglet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::le;
using testing_support::refusal;

std::string file_of_header(const std::string& header, std::size_t data_bytes) {
  return le(header.size(), 8) + header + std::string(data_bytes, '\x7f');
}

SafetensorsHeader parse_header(const std::string& file) {
  return parse_safetensors(as_bytes(file), "model.safetensors");
}

// The refusal of a file with this header and data section.
std::string refused_header(const std::string& header, std::size_t data_bytes) {
  return refusal([&] { parse_header(file_of_header(header, data_bytes)); });
}

// One tensor with these fields (JSON text).
std::string refused_tensor_header(const std::string& dtype, const std::string& shape, const std::string& offsets,
                                  std::size_t data_bytes = 8) {
  return refused_header(R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}",
                        data_bytes);
}

TEST(SafetensorsFormat, ReadsEntriesInFileOrder) {
  const std::string header =
      R"({"b":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},)"
      R"("__metadata__":{"format":"pt","note":"é"},)"
      R"("a":{"data_offsets":[12,16],"shape":[],"dtype":"F32"},"none":{"dtype":"I8","shape":[0,5],"data_offsets":[12,12]}}   )";
  const SafetensorsHeader parsed = parse_header(file_of_header(header, 16));
  EXPECT_EQ(parsed.header_bytes, 8 + header.size());
  ASSERT_EQ(parsed.entries.size(), 3U);
  EXPECT_EQ(parsed.entries[0].name, "b");
  EXPECT_THAT(parsed.entries[0].shape, ElementsAre(2, 3));
  EXPECT_EQ(parsed.entries[0].begin, parsed.header_bytes);
  EXPECT_EQ(parsed.entries[1].name, "none");
  EXPECT_EQ(parsed.entries[2].name, "a");
  EXPECT_EQ(parsed.entries[2].end, parsed.header_bytes + 16);
  EXPECT_TRUE(parsed.entries[2].shape.empty());
  EXPECT_EQ(parsed.metadata.at("note"), "é");
  EXPECT_TRUE(parse_header(file_of_header("{}", 0)).entries.empty());
}

TEST(SafetensorsFormat, HeaderLength) {
  EXPECT_THAT(refusal([] { parse_header(""); }), HasSubstr("too short"));
  EXPECT_THAT(refusal([] { parse_header("1234567"); }), HasSubstr("too short"));
  EXPECT_THAT(refusal([] { parse_header(le(3, 8) + "{}"); }), HasSubstr("truncated"));
  EXPECT_THAT(refusal([] { parse_header(le(100'000'001, 8) + "{}"); }), HasSubstr("100 MB"));
  EXPECT_THAT(refusal([] { parse_header(le(~std::uint64_t{0}, 8) + "{}"); }), HasSubstr("100 MB"));
  EXPECT_THAT(refusal([] { parse_header(le(0, 8) + "{}"); }), HasSubstr("start with '{'"));
  EXPECT_THAT(refused_header(" {}", 0), HasSubstr("start with '{'"));
  EXPECT_THAT(refused_header("[]", 0), HasSubstr("start with '{'"));
}

TEST(SafetensorsFormat, HeaderJson) {
  for (const char* bad : {"{", "{}x", "{\"a\":}", "{\"a\":1,}", "{\"a\xff\":{}}", "{'a':{}}", "{\"a\":NaN}"}) {
    EXPECT_THAT(refused_header(bad, 0), HasSubstr("not valid JSON")) << bad;
  }
  EXPECT_THAT(refused_header(std::string("{}\0", 3), 0), HasSubstr("not valid JSON"));  // padding is blanks only
  std::string deep = "{\"a\":";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  EXPECT_THAT(refused_header(deep, 0), HasSubstr("too deeply"));
}

TEST(SafetensorsFormat, DuplicateKeys) {
  const std::string entry = R"({"dtype":"I8","shape":[4],"data_offsets":[0,4]})";
  EXPECT_THAT(refused_header(R"({"w":)" + entry + R"(,"w":)" + entry + "}", 4), HasSubstr("duplicate key 'w'"));
  EXPECT_THAT(refused_header(R"({"w":)" + entry + R"(,"\u0077":)" + entry + "}", 4), HasSubstr("duplicate key 'w'"));
  EXPECT_THAT(refused_header(R"({"__metadata__":{"a":"1","a":"2"}})", 0), HasSubstr("duplicate key 'a'"));
  EXPECT_THAT(refused_header(R"({"w":{"dtype":"I8","dtype":"I8","shape":[4],"data_offsets":[0,4]}})", 4),
              HasSubstr("duplicate key 'dtype'"));
}

TEST(SafetensorsFormat, Metadata) {
  EXPECT_THAT(refused_header(R"({"__metadata__":[]})", 0), HasSubstr("must be an object"));
  EXPECT_THAT(refused_header(R"({"__metadata__":{"step":3}})", 0), HasSubstr("'step' is not a string"));
  EXPECT_THAT(refused_header(R"({"__metadata__":{"a":null}})", 0), HasSubstr("'a' is not a string"));
}

TEST(SafetensorsFormat, EntryFields) {
  for (const char* entry :
       {"1", "[]", "{}", R"({"dtype":"I8","shape":[4]})", R"({"dtype":"I8","shape":[4],"offsets":[0,4]})",
        R"({"dtype":"I8","shape":[4],"data_offsets":[0,4],"extra":1})"}) {
    EXPECT_THAT(refused_header(std::string(R"({"w":)") + entry + "}", 4), HasSubstr("exactly dtype, shape")) << entry;
  }
}

TEST(SafetensorsFormat, Dtype) {
  for (const char* dtype : {R"("f32")", R"("F4")", R"("")", "32", "null", R"(["F32"])"}) {
    EXPECT_THAT(refused_tensor_header(dtype, "[2]", "[0,8]"), HasSubstr("unknown dtype")) << dtype;
  }
}

TEST(SafetensorsFormat, Shape) {
  for (const char* shape : {"2", "null", "{}", "\"2\""}) {
    EXPECT_THAT(refused_tensor_header(R"("F32")", shape, "[0,8]"), HasSubstr("shape must be a list")) << shape;
  }
  for (const char* shape : {"[-2]", "[2.0]", "[\"2\"]", "[true]", "[null]", "[-9223372036854775808]"}) {
    EXPECT_THAT(refused_tensor_header(R"("F32")", shape, "[0,8]"), HasSubstr("non-negative integers")) << shape;
  }
  std::string ones = "[1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  EXPECT_THAT(refused_tensor_header(R"("F32")", ones + "]", "[0,4]", 4), HasSubstr("at most 64"));
}

TEST(SafetensorsFormat, ShapeOverflow) {
  for (const char* shape : {"[4611686018427387905]", "[18446744073709551615]", "[4294967296,4294967296]",
                            "[4611686018427387904]", "[2147483648,2147483648,4]", "[18446744073709551615,0]"}) {
    EXPECT_THAT(refused_tensor_header(R"("F32")", shape, "[0,8]"), HasSubstr("overflows")) << shape;
  }
  // 2^62 * 4 bytes wraps to 0.
  EXPECT_THAT(refused_tensor_header(R"("F32")", "[4611686018427387904]", "[0,0]", 0), HasSubstr("overflows"));
  EXPECT_THAT(refused_tensor_header(R"("F32")", "[18446744073709551616]", "[0,8]"), HasSubstr("non-negative integers"));
}

TEST(SafetensorsFormat, Offsets) {
  for (const char* offsets : {"8", "[]", "[8]", "[0,8,8]", "{}"}) {
    EXPECT_THAT(refused_tensor_header(R"("F32")", "[2]", offsets), HasSubstr("[begin, end]")) << offsets;
  }
  EXPECT_THAT(refused_tensor_header(R"("F32")", "[2]", "[-8,0]"), HasSubstr("non-negative integers"));
  EXPECT_THAT(refused_tensor_header(R"("F32")", "[2]", "[0,8.0]"), HasSubstr("non-negative integers"));
  EXPECT_THAT(refused_tensor_header(R"("F32")", "[2]", "[8,0]"), HasSubstr("of 8 bytes of data"));
  EXPECT_THAT(refused_tensor_header(R"("F32")", "[2]", "[0,8]", 7), HasSubstr("truncated"));
  EXPECT_THAT(refused_tensor_header(R"("F32")", "[2]", "[0,18446744073709551615]"), HasSubstr("truncated"));
  EXPECT_THAT(refused_tensor_header(R"("F32")", "[2]", "[18446744073709551608,18446744073709551615]"),
              HasSubstr("truncated"));
  EXPECT_THAT(refused_tensor_header(R"("F32")", "[2]", "[0,4]"), HasSubstr("span 4 bytes, dtype and shape need 8"));
  EXPECT_THAT(refused_tensor_header(R"("BF16")", "[2,0]", "[0,4]"), HasSubstr("need 0"));
}

TEST(SafetensorsFormat, NoHolesNoOverlap) {
  const auto two = [](const char* first, const char* second) {
    return std::string(R"({"a":{"dtype":"I8","shape":[4],"data_offsets":)") + first +
           R"(},"b":{"dtype":"I8","shape":[4],"data_offsets":)" + second + "}}";
  };
  EXPECT_THAT(refused_header(two("[0,4]", "[3,7]"), 7), HasSubstr("overlaps"));
  EXPECT_THAT(refused_header(two("[0,4]", "[0,4]"), 4), HasSubstr("overlaps"));
  EXPECT_THAT(refused_header(two("[0,4]", "[5,9]"), 9), HasSubstr("hole"));
  EXPECT_THAT(refused_header(two("[1,5]", "[5,9]"), 9), HasSubstr("hole"));
  EXPECT_THAT(refused_header(two("[0,4]", "[4,8]"), 9), HasSubstr("1 bytes follow"));
  EXPECT_THAT(refused_header("{}", 1), HasSubstr("1 bytes follow"));
  // An empty tensor inside another one.
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},)"
                             R"("e":{"dtype":"I8","shape":[0],"data_offsets":[2,2]}})",
                             4),
              HasSubstr("overlaps"));
}

TEST(SafetensorsFormat, NamesInMessagesAreOneLine) {
  EXPECT_THAT(refused_header(R"({"w\n\u001b[31m":1})", 0), HasSubstr("w\\x0a\\x1b[31m"));
}

TEST(SafetensorsFormat, TruncatedAtEveryByte) {
  const std::string whole = file_of_header(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  EXPECT_EQ(parse_header(whole).entries.size(), 1U);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(parse_header(whole.substr(0, size)), Error) << size;
  }
}

// Whatever one changed byte does, the reader either refuses or gives ranges that tile the data.
TEST(SafetensorsFormat, ChangedBytesNeverGiveBadRanges) {
  const std::string whole = file_of_header(R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                                           R"("v":{"dtype":"I64","shape":[1],"data_offsets":[24,32]}})",
                                           32);
  Rng rng(3);
  for (int i = 0; i < 8000; ++i) {
    std::string changed = whole;
    for (std::uint64_t n = 1 + rng.below(3); n > 0; --n) {
      changed[rng.below(changed.size())] = static_cast<char>(rng.below(256));
    }
    try {
      const SafetensorsHeader parsed = parse_header(changed);
      std::uint64_t at = parsed.header_bytes;
      for (const SafetensorsEntry& entry : parsed.entries) {
        ASSERT_EQ(entry.begin, at);
        std::uint64_t bytes = item_size(entry.dtype);
        for (const std::int64_t size : entry.shape) bytes *= static_cast<std::uint64_t>(size);
        ASSERT_EQ(entry.end - entry.begin, bytes);
        at = entry.end;
      }
      ASSERT_EQ(at, changed.size());
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kBadInput);
    }
  }
}

}  // namespace
}  // namespace kinglet
