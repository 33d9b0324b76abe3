// Small tokenizers of four pipelines against the tokenizers package: tests/golden/text/make_tokenizers.py.
#include <filesystem>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "kinglet/base/files.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {
namespace {

const std::filesystem::path kGolden = std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text";

class GoldenTokenizer : public testing::TestWithParam<const char*> {
 protected:
  GoldenTokenizer()
      : tokenizer(Tokenizer::load(kGolden / (std::string(GetParam()) + ".json"))),
        rows(nlohmann::json::parse(as_text(read_file(kGolden / (std::string(GetParam()) + ".expected.json"))))) {}
  std::unique_ptr<Tokenizer> tokenizer;
  nlohmann::json rows;
};

TEST_P(GoldenTokenizer, EncodesAndDecodesAlike) {
  ASSERT_GT(rows.size(), 100U);
  for (const auto& row : rows) {
    const auto text = row["text"].get<std::string>();
    const auto ids = row["ids"].get<std::vector<TokenId>>();
    EXPECT_EQ(tokenizer->encode(text), ids) << row["text"].dump();
    EXPECT_EQ(tokenizer->decode(ids), row["decoded"].get<std::string>()) << row["text"].dump();
  }
}

// Token by token, the pieces make the whole, and none ends within a character.
TEST_P(GoldenTokenizer, StreamsWholeCharacters) {
  for (const auto& row : rows) {
    const auto ids = row["ids"].get<std::vector<TokenId>>();
    StreamDecoder decoder(*tokenizer);
    std::string text;
    for (const TokenId id : ids) {
      const std::string piece = decoder.push(id);
      EXPECT_NO_THROW(static_cast<void>(nlohmann::json(piece).dump())) << "a piece is no UTF-8";
      text += piece;
    }
    EXPECT_EQ(text + decoder.finish(), row["decoded"].get<std::string>()) << row["text"].dump();
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenTokenizer, testing::Values("gpt2", "llama3", "llama2", "gemma"),
                         [](const auto& family) { return std::string(family.param); });

}  // namespace
}  // namespace kinglet
