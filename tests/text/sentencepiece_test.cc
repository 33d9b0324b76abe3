#include <gtest/gtest.h>

#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/rng.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {
namespace {

using testing_support::refusal;
using testing_support::TemporaryFolder;
using Ids = std::vector<TokenId>;

std::filesystem::path model() {
  return std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text/sentencepiece_bpe.model";
}

TEST(SentencePiece, PutsBosBeforeATextAndFindsControlSymbols) {
  const auto tokenizer = Tokenizer::load(model());
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(tokenizer->padding(), std::nullopt);
  Ids expected = {1};
  const Ids hello = tokenizer->encode("Hello", false);
  expected.insert(expected.end(), hello.begin(), hello.end());
  EXPECT_EQ(tokenizer->encode("Hello"), expected);
  expected.push_back(2);
  EXPECT_EQ(tokenizer->encode("<s>Hello</s>", false), expected);
  EXPECT_EQ(tokenizer->decode(expected), "Hello");
  EXPECT_EQ(tokenizer->decode(expected, false), "<s> Hello</s>");
  EXPECT_TRUE(tokenizer->is_special(0));
  EXPECT_EQ(tokenizer->token(1), "<s>");
  EXPECT_EQ(tokenizer->find_id("</s>"), 2);
}

TEST(SentencePiece, FollowsTheConfiguration) {
  const TemporaryFolder folder;
  std::filesystem::copy(model(), folder / "tokenizer.model");
  write_file_atomically(folder / "tokenizer_config.json", as_bytes(R"({"add_bos_token": false, "add_eos_token": true,
    "pad_token": "<pad>", "added_tokens_decoder": {"700": {"content": "<pad>", "special": true},
    "703": {"content": "<tool>", "special": false}}})"));
  const auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer->padding(), 700);
  EXPECT_EQ(tokenizer->vocabulary_size(), 704);
  EXPECT_EQ(tokenizer->encode(""), (Ids{2}));
  EXPECT_EQ(tokenizer->encode("<pad><tool>"), (Ids{700, 703, 2}));
  EXPECT_EQ(tokenizer->decode(Ids{700, 703}), "<tool>");
  EXPECT_EQ(tokenizer->decode(Ids{701}), "");
}

TEST(SentencePiece, RefusesDamagedModels) {
  const TemporaryFolder folder;
  const auto refused = [&](ByteView bytes) {
    write_file_atomically(folder / "tokenizer.model", bytes);
    return refusal([&] { Tokenizer::load(folder.path()); });
  };
  refused(as_bytes("nonsense"));
  refused(as_bytes(std::string_view("\x0A\xFF\xFF\xFF\xFF\x7F", 6)));
  const Bytes whole = read_file(model());
  refused(ByteView(whole).first(whole.size() - 3));
  refused(ByteView(whole).first(5));
}

// Whatever a model file says, it is refused or used within its bounds.
TEST(SentencePiece, SurvivesChangedModels) {
  const TemporaryFolder folder;
  const std::filesystem::path golden = model().parent_path();
  Rng rng(5);
  for (const char* name : {"sentencepiece_bpe.model", "sentencepiece_unigram.model"}) {
    const Bytes whole = read_file(golden / name);
    for (int i = 0; i < 300; ++i) {
      Bytes bytes = whole;
      for (int change = 0; change < 4; ++change)
        bytes[rng.below(bytes.size())] = static_cast<std::byte>(rng.below(256));
      write_file_atomically(folder / "tokenizer.model", bytes);
      try {
        const auto tokenizer = Tokenizer::load(folder.path());
        for (const TokenId id : tokenizer->encode("Hello  \xEF\xBC\xA1 world\n<s>")) {
          EXPECT_LT(id, tokenizer->vocabulary_size());
        }
      } catch (const Error& error) {
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      }
    }
  }
}

}  // namespace
}  // namespace kinglet
