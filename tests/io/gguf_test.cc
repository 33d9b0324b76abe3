// What the reader of GGUF files takes, gives and refuses.
#include "kinglet/io/gguf.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/gguf_bytes.h"
#include "tests/support/golden_files.h"
#include "tests/support/refusal.h"

namespace kinglet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::GgufBytes;
using testing_support::golden;
using testing_support::le;
using testing_support::refusal;

std::string refusal_of_gguf(const std::string& bytes) {
  return refusal([&] { Gguf::parse(as_bytes(bytes), "x.gguf"); });
}
std::string refusal_of_gguf(const GgufBytes& file) { return refusal_of_gguf(file.bytes()); }

TEST(Gguf, ReadsMetadataOfEveryType) {
  const GgufFile file(golden("files/every_type.gguf"));
  const Gguf& content = file.content();
  EXPECT_EQ(content.version(), 3U);
  EXPECT_EQ(content.alignment(), 64U);
  EXPECT_EQ(content.text("general.architecture"), "test");
  EXPECT_EQ(content.integer("test.u8"), 255);
  EXPECT_EQ(content.integer("test.i8"), -128);
  EXPECT_EQ(content.integer("test.u16"), 65535);
  EXPECT_EQ(content.integer("test.i16"), -32768);
  EXPECT_EQ(content.integer("test.u32"), 4294967295);
  EXPECT_EQ(content.integer("test.i32"), std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(content.integer("test.i64"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(content.number("test.u64"), 18446744073709551616.0);
  EXPECT_EQ(content.number("test.f32"), 0.1F);
  EXPECT_EQ(content.number("test.f64"), 0.1);
  EXPECT_EQ(content.number("test.i8"), -128);
  EXPECT_TRUE(content.boolean("test.bool"));
  EXPECT_EQ(content.text("test.text"), "Käfer");
  EXPECT_THAT(content.texts("test.texts"), ElementsAre("a", "", "▁the"));
  EXPECT_THAT(content.integers("test.integers"), ElementsAre(1, -2, 3));
  EXPECT_THAT(content.numbers("test.numbers"), ElementsAre(0.5, -1.25));
  EXPECT_THAT(content.numbers("test.integers"), ElementsAre(1, -2, 3));
  EXPECT_THAT(content.booleans("test.booleans"), ElementsAre(true, false, true));
}

TEST(Gguf, GivesShapesAsPyTorchDoes) {
  const std::string bytes = GgufBytes()
                                .tensor("w", GgufType::kF32, {3, 2}, std::string(24, 'a'))
                                .tensor("scalar", GgufType::kF16, {}, "bb")
                                .tensor("none", GgufType::kF32, {4, 0}, "")
                                .bytes();
  const Gguf content = Gguf::parse(as_bytes(bytes), "x.gguf");
  EXPECT_THAT(content.tensor("w").shape, ElementsAre(2, 3));
  EXPECT_EQ(as_text(content.tensor("w").data), std::string(24, 'a'));
  EXPECT_EQ(content.tensor("scalar").numel(), 1);
  EXPECT_EQ(as_text(content.tensor("scalar").data), "bb");
  EXPECT_EQ(content.tensor("none").numel(), 0);
  EXPECT_EQ(content.find_tensor("v"), nullptr);
  EXPECT_EQ(refusal([&] { content.tensor("v"); }), "x.gguf: has no tensor 'v'");
}

TEST(Gguf, ReadsVersionTwoAndFilesWithoutTensors) {
  GgufBytes file;
  file.version = 2;
  const std::string bytes = file.text("tokenizer.ggml.model", "gpt2").bytes();
  const Gguf content = Gguf::parse(as_bytes(bytes), "x.gguf");
  EXPECT_EQ(content.version(), 2U);
  EXPECT_EQ(content.optional_text("tokenizer.ggml.model"), "gpt2");
  EXPECT_TRUE(content.tensors().empty());
}

TEST(Gguf, GettersSayWhatIsWrong) {
  const std::string bytes = GgufBytes()
                                .u32("count", 3)
                                .texts("tokens", {"a"})
                                .value("huge", GgufValueType::kU64, std::string(8, '\xff'))
                                .boolean("flag", true)
                                .bytes();
  const Gguf content = Gguf::parse(as_bytes(bytes), "x.gguf");
  EXPECT_EQ(refusal([&] { content.text("count"); }), "x.gguf: metadata 'count' is a whole number, not a text");
  EXPECT_EQ(refusal([&] { content.integers("tokens"); }),
            "x.gguf: metadata 'tokens' is a list of text, not a list of whole numbers");
  EXPECT_EQ(refusal([&] { content.integer("tokens"); }),
            "x.gguf: metadata 'tokens' is a list of text, not a whole number");
  EXPECT_THAT(refusal([&] { content.text("missing"); }), HasSubstr("x.gguf: has no metadata 'missing'"));
  EXPECT_THAT(refusal([&] { content.integer("huge"); }), HasSubstr("beyond 63 bits"));
  EXPECT_THAT(refusal([&] { content.number("flag"); }), HasSubstr("is a truth value, not a number"));
  EXPECT_THAT(refusal([&] { content.optional_text("count"); }), HasSubstr("not a text"));
  EXPECT_EQ(content.optional_integer("missing"), std::nullopt);
  EXPECT_EQ(content.optional_texts("missing"), std::nullopt);
}

TEST(Gguf, RefusesOtherFiles) {
  EXPECT_EQ(refusal_of_gguf(std::string("GGU")), "x.gguf: not a GGUF file");
  EXPECT_EQ(refusal_of_gguf(std::string("PK\3\4....")), "x.gguf: not a GGUF file");
  EXPECT_THAT(refusal_of_gguf("GGUF" + std::string("\0\0\0\3", 4) + std::string(16, '\0')), HasSubstr("big-endian"));
  EXPECT_THAT(refusal_of_gguf("GGUF" + le(1, 4) + std::string(16, '\0')), HasSubstr("GGUF version 1"));
  EXPECT_THAT(refusal_of_gguf("GGUF" + le(4, 4) + std::string(16, '\0')), HasSubstr("too old"));
}

TEST(Gguf, RefusesCountsAndLengthsBeyondTheFile) {
  EXPECT_THAT(refusal_of_gguf("GGUF" + le(3, 4) + le(1ULL << 60, 8) + le(0, 8)), HasSubstr("tensors cannot stand in"));
  EXPECT_THAT(refusal_of_gguf("GGUF" + le(3, 4) + le(0, 8) + le(~0ULL, 8)),
              HasSubstr("metadata entries cannot stand in"));
  EXPECT_THAT(refusal_of_gguf(GgufBytes().value("k", GgufValueType::kText, le(~0ULL, 8))), HasSubstr("bytes"));
  EXPECT_THAT(refusal_of_gguf(GgufBytes().array("k", GgufValueType::kU64, 1ULL << 61, "")), HasSubstr("'k' has"));
  EXPECT_THAT(refusal_of_gguf(GgufBytes().array("k", GgufValueType::kText, ~0ULL, "")), HasSubstr("ends too early"));
  const std::string whole =
      GgufBytes().texts("k", {"a", "b"}).tensor("t", GgufType::kF32, {8}, std::string(32, 'x')).bytes();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(refusal_of_gguf(whole.substr(0, length)).empty()) << length;
  }
}

TEST(Gguf, RefusesBadMetadata) {
  EXPECT_THAT(refusal_of_gguf(GgufBytes().array("k", GgufValueType::kArray, 0, "")), HasSubstr("list of lists"));
  EXPECT_THAT(refusal_of_gguf(GgufBytes().value("k", static_cast<GgufValueType>(13), "")),
              HasSubstr("unknown type 13"));
  EXPECT_THAT(refusal_of_gguf(GgufBytes().value("k", GgufValueType::kBool, "\2")), HasSubstr("neither 0 nor 1"));
  EXPECT_THAT(refusal_of_gguf(GgufBytes().u32("k", 1).u32("k", 2)), HasSubstr("metadata 'k' occurs twice"));
  EXPECT_THAT(refusal_of_gguf(GgufBytes().u32("general.alignment", 48)), HasSubstr("not a power of two"));
  EXPECT_THAT(refusal_of_gguf(GgufBytes().u32("general.alignment", 0)), HasSubstr("not a power of two"));
}

TEST(Gguf, RefusesBadTensors) {
  const auto at = [](std::uint32_t type, const std::vector<std::uint64_t>& sizes, std::uint64_t offset = 0) {
    return refusal_of_gguf(GgufBytes().tensor_at("t", type, sizes, offset));
  };
  EXPECT_THAT(at(0, {1}), HasSubstr("needs 4 bytes at 0 of 0"));
  EXPECT_THAT(at(0, {1}, ~31ULL), HasSubstr("tensor 't' needs"));
  EXPECT_THAT(at(0, {0}, 16), HasSubstr("not aligned to 32"));
  EXPECT_THAT(at(0, {1ULL << 40, 1ULL << 40}), HasSubstr("overflows"));
  EXPECT_THAT(at(0, {1ULL << 40, 1ULL << 40, 0}), HasSubstr("overflows"));
  EXPECT_THAT(at(0, std::vector<std::uint64_t>(9, 1)), HasSubstr("9 dimensions"));
  EXPECT_THAT(at(2, {31}), HasSubstr("no whole blocks of 32"));
  EXPECT_THAT(at(4, {32}), HasSubstr("unknown type 4"));
  const std::string data(32, 'x');
  EXPECT_THAT(
      refusal_of_gguf(GgufBytes().tensor("t", GgufType::kF32, {8}, data).tensor("t", GgufType::kF32, {8}, data)),
      HasSubstr("tensor 't' occurs twice"));
  EXPECT_THAT(refusal_of_gguf(GgufBytes().tensor("t", GgufType::kF32, {8}, data).tensor_at("u", 0, {1}, 0)),
              HasSubstr("overlap"));
}

}  // namespace
}  // namespace kinglet
