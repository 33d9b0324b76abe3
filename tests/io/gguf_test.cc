// GGUF: what the gguf package wrote (tests/golden/io/make_gguf.py), and damaged files.
#include "kinglet/io/gguf.h"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/golden_files.h"
#include "tests/support/refusal.h"

#include "kinglet/base/error.h"
#include "kinglet/base/rng.h"
#include "kinglet/io/gguf_dequantize.h"

namespace kinglet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::refusal;

const std::filesystem::path kFolder = std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/io";

TEST(Gguf, MetadataIsRead) {
  const GgufFile file(kFolder / "types.gguf");
  const Gguf& content = file.content();
  EXPECT_EQ(content.text("general.architecture"), "llama");
  EXPECT_EQ(content.integer("test.integer"), 7);
  EXPECT_EQ(content.number("test.number"), 0.5);
  EXPECT_EQ(content.text("test.text"), "größer");
  EXPECT_THAT(content.texts("test.list"), ElementsAre("a", "b", ""));
  EXPECT_TRUE(content.boolean("test.truth"));
  EXPECT_FALSE(content.optional_text("none").has_value());
  EXPECT_THAT(refusal([&] { content.integer("test.text"); }), HasSubstr("test.text"));
  EXPECT_THAT(refusal([&] { content.integer("none"); }), HasSubstr("none"));
}

// Every type gives the numbers of the gguf package: the same products, so equal but for the order of roundings.
TEST(Gguf, EveryTypeIsDequantized) {
  const GgufFile file(kFolder / "types.gguf");
  const Bytes expected = read_file(kFolder / "types.f32");
  std::size_t at = 0;
  for (const GgufTensor& tensor : file.content().tensors()) {
    ASSERT_TRUE(can_dequantize(tensor.type)) << tensor.name;
    EXPECT_THAT(tensor.shape, ElementsAre(3, 512)) << tensor.name;
    const std::vector<float> values = dequantize(tensor);
    ASSERT_LE(at + values.size() * sizeof(float), expected.size());
    std::vector<float> wanted(values.size());
    std::memcpy(wanted.data(), expected.data() + at, wanted.size() * sizeof(float));
    at += wanted.size() * sizeof(float);
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], wanted[i], 1e-6F * (1.0F + std::abs(wanted[i]))) << tensor.name << " " << i;
    }
    std::vector<float> piece(256);
    dequantize(tensor, 512, 256, piece.data());
    EXPECT_EQ(std::memcmp(piece.data(), values.data() + 512, 1024), 0) << tensor.name;
  }
  EXPECT_EQ(at, expected.size());
}

// Cut and changed files are refused or read, and never more than that.
TEST(Gguf, DamagedFilesAreRefused) {
  const Bytes whole = read_file(kFolder / "types.gguf");
  const auto try_to_read = [](const Bytes& bytes) {
    try {
      const Gguf content = Gguf::parse(bytes, "x.gguf");
      for (const GgufTensor& tensor : content.tensors()) {
        if (can_dequantize(tensor.type)) dequantize(tensor);
      }
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  EXPECT_TRUE(try_to_read(whole));
  for (std::size_t length = 0; length < whole.size(); length += length < 2000 ? 1 : 997) {
    EXPECT_FALSE(try_to_read(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)))) << length;
  }
  Rng rng(1);
  for (int i = 0; i < 3000; ++i) {
    Bytes bytes = whole;
    for (int change = 0; change < 3; ++change) bytes[rng.below(1500)] = static_cast<std::byte>(rng.below(256));
    try_to_read(bytes);
  }
}

}  // namespace
}  // namespace kinglet
