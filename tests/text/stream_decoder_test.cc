#include <gtest/gtest.h>

#include "kinglet/base/error.h"
#include "kinglet/base/rng.h"
#include "kinglet/text/tokenizer.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

std::unique_ptr<Tokenizer> golden(const std::string& name) {
  return Tokenizer::load(std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text" / name);
}

class StreamDecoding : public testing::TestWithParam<std::string> {};

TEST_P(StreamDecoding, GivesWholeCharactersThatJoinToTheDecodedText) {
  const auto tokenizer = golden(GetParam());
  Rng rng(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<TokenId> ids(1 + rng.below(30));
    for (TokenId& id : ids) {
      id = static_cast<TokenId>(rng.below(static_cast<std::uint64_t>(tokenizer->vocabulary_size())));
    }
    const bool skip_special = round % 2 == 0;
    StreamDecoder decoder(*tokenizer, skip_special);
    std::string joined;
    for (const TokenId id : ids) {
      const std::string part = decoder.push(id);
      ASSERT_TRUE(utf8::is_valid(part));
      joined += part;
    }
    joined += decoder.finish();
    ASSERT_EQ(joined, tokenizer->decode(ids, skip_special));
  }
}

TEST_P(StreamDecoding, HoldsBackTheStartOfAnEmoji) {
  const auto tokenizer = golden(GetParam());
  const std::string text = "\U0001f9ff";  // no family learnt it, so it is bytes
  const std::vector<TokenId> ids = tokenizer->encode(text, false);
  if (tokenizer->decode(ids) != text && tokenizer->decode(ids) != " " + text) return;  // unknown there
  StreamDecoder decoder(*tokenizer);
  std::string given;
  for (const TokenId id : ids) given += decoder.push(id);
  EXPECT_EQ(given.find(utf8::kReplacementText), std::string::npos);
  EXPECT_EQ(given + decoder.finish(), tokenizer->decode(ids));
  // Cut short, the character is one or more U+FFFD.
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) decoder.push(ids[i]);
  EXPECT_TRUE(decoder.finish().ends_with(utf8::kReplacementText));
}

INSTANTIATE_TEST_SUITE_P(All, StreamDecoding,
                         testing::Values("gpt2.json", "llama2.json", "mistral.json", "gemma.json", "llama3.json",
                                         "metaspace.json", "mixture.json", "unigram.json", "whitespace.json",
                                         "sentencepiece_bpe.model", "sentencepiece_unigram.model"),
                         [](const auto& name) { return name.param.substr(0, name.param.find('.')); });

TEST(StreamDecoder, IsAsNewAfterFinish) {
  const auto tokenizer = golden("llama2.json");
  StreamDecoder decoder(*tokenizer);
  const std::vector<TokenId> ids = tokenizer->encode("Hello", false);
  for (int round = 0; round < 2; ++round) {
    std::string text;
    for (const TokenId id : ids) text += decoder.push(id);
    EXPECT_EQ(text + decoder.finish(), "Hello");
  }
}

TEST(StreamDecoder, RefusesIdsOutsideTheVocabulary) {
  const auto tokenizer = golden("gpt2.json");
  StreamDecoder decoder(*tokenizer);
  EXPECT_THROW(decoder.push(-1), Error);
  EXPECT_THROW(decoder.push(static_cast<TokenId>(tokenizer->vocabulary_size())), Error);
  EXPECT_THROW(tokenizer->token(1 << 24), Error);
}

// A tokenizer that can only decode a whole list: the default stream does the rest.
class TwoByteTokens : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view, bool) const override { return {}; }
  std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string bytes;
    for (const TokenId id : ids) bytes.push_back(static_cast<char>(id));
    return utf8::replace_invalid(bytes);
  }
  std::int64_t vocabulary_size() const override { return 256; }
  std::optional<TokenId> find_id(std::string_view) const override { return std::nullopt; }
  std::string token(TokenId) const override { return {}; }
  bool is_special(TokenId) const override { return false; }
  std::optional<TokenId> bos() const override { return std::nullopt; }
  std::optional<TokenId> eos() const override { return std::nullopt; }
  std::optional<TokenId> padding() const override { return std::nullopt; }
};

TEST(StreamDecoder, ServesTokenizersThatOnlyDecodeLists) {
  const TwoByteTokens tokenizer;
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push('a'), "a");
  EXPECT_EQ(decoder.push(0xC3), "");
  EXPECT_EQ(decoder.push(0xA9), "\u00e9");
  EXPECT_EQ(decoder.push(0xE2), "");
  EXPECT_EQ(decoder.finish(), "\ufffd");
}

}  // namespace
}  // namespace kinglet
