// The token corpus file: what is written is read, and every damaged file is refused.
#include "kinglet/text/token_corpus.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::put;
using testing_support::refusal;
using testing_support::TemporaryFolder;

struct Expected {
  std::vector<std::vector<TokenId>> tokens;
  std::vector<std::vector<std::uint8_t>> trained;
};

Expected write_corpus(const std::filesystem::path& path, std::int64_t vocabulary, bool masked, int documents = 50) {
  Expected expected;
  Rng rng(7);
  TokenCorpusWriter writer(path, vocabulary, 42);
  for (int d = 0; d < documents; ++d) {
    std::vector<TokenId> tokens(rng.below(30));
    std::vector<std::uint8_t> trained(tokens.size());
    for (TokenId& token : tokens) token = static_cast<TokenId>(rng.below(static_cast<std::uint64_t>(vocabulary)));
    for (std::uint8_t& one : trained) one = static_cast<std::uint8_t>(rng.below(2));
    if (masked)
      writer.add(tokens, trained);
    else
      writer.add(tokens);
    expected.tokens.push_back(tokens);
    expected.trained.push_back(masked ? trained : std::vector<std::uint8_t>(tokens.size(), 1));
  }
  writer.commit();
  return expected;
}

void expect_content(const TokenCorpus& corpus, const Expected& expected) {
  ASSERT_EQ(corpus.documents(), expected.tokens.size());
  for (std::uint64_t d = 0; d < corpus.documents(); ++d) {
    std::vector<TokenId> tokens;
    ASSERT_EQ(corpus.length(d), expected.tokens[d].size());
    corpus.read(d, 0, corpus.length(d), tokens);
    EXPECT_EQ(tokens, expected.tokens[d]);
    for (std::uint64_t i = 0; i < tokens.size(); ++i) EXPECT_EQ(corpus.trained(d, i), expected.trained[d][i] != 0);
  }
}

TEST(TokenCorpus, EveryWidthAndMaskIsReadBack) {
  const TemporaryFolder folder;
  for (const std::int64_t vocabulary :
       {std::int64_t{1}, std::int64_t{300}, std::int64_t{65536}, std::int64_t{65537}, std::int64_t{250000}}) {
    for (const bool masked : {false, true}) {
      const Expected expected = write_corpus(folder / "corpus", vocabulary, masked);
      const TokenCorpus corpus = TokenCorpus::open(folder / "corpus", TokenCorpus::Check::kEverything);
      expect_content(corpus, expected);
      EXPECT_EQ(corpus.vocabulary_size(), vocabulary);
      EXPECT_EQ(corpus.tokenizer_fingerprint(), 42U);
      EXPECT_EQ(corpus.has_mask(), masked);
    }
  }
}

TEST(TokenCorpus, APartOfADocumentIsRead) {
  const TemporaryFolder folder;
  {
    TokenCorpusWriter writer(folder / "corpus", 10, 0);
    writer.add(std::vector<TokenId>{1, 2, 3, 4});
    writer.commit();
  }
  std::vector<TokenId> tokens = {9};
  TokenCorpus::open(folder / "corpus").read(0, 1, 2, tokens);
  EXPECT_THAT(tokens, testing::ElementsAre(9, 2, 3));
}

TEST(TokenCorpus, NothingStaysOfACorpusThatWasNotCommitted) {
  const TemporaryFolder folder;
  {
    TokenCorpusWriter writer(folder / "corpus", 10, 0);
    writer.add(std::vector<TokenId>{1});
    EXPECT_THAT(refusal([&] { writer.add(std::vector<TokenId>{10}); }), HasSubstr("token 10"));
    EXPECT_THAT(refusal([&] { writer.add(std::vector<TokenId>{-1}); }), HasSubstr("token -1"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  write_corpus(folder / "corpus", 10, true);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(TokenCorpus, AnEmptyCorpusIsOne) {
  const TemporaryFolder folder;
  write_corpus(folder / "corpus", 10, false, 0);
  EXPECT_EQ(TokenCorpus::open(folder / "corpus").documents(), 0U);
}

TEST(TokenCorpus, ChangedSourcesAreNoticed) {
  const TemporaryFolder folder;
  for (const char* name : {"a", "b", "c", "d"}) put(folder / name, "text");
  {
    TokenCorpusWriter writer(folder / "corpus", 10, 0);
    for (const char* name : {"a", "b", "c", "d"}) writer.add_source(describe_source(folder / name));
    writer.commit();
  }
  const TokenCorpus corpus = TokenCorpus::open(folder / "corpus");
  EXPECT_TRUE(corpus.changed_sources().empty());
  put(folder / "b", "tixt");
  put(folder / "c", "text and more");
  std::filesystem::remove(folder / "d");
  EXPECT_THAT(corpus.changed_sources(),
              testing::ElementsAre(HasSubstr("b: changed"), HasSubstr("13 bytes"), HasSubstr("d: gone")));
}

TEST(TokenCorpus, EveryDamagedByteIsNoticed) {
  const TemporaryFolder folder = TemporaryFolder::in_memory();
  put(folder / "source", "text");
  {
    TokenCorpusWriter writer(folder / "corpus", 10, 0);
    writer.add(std::vector<TokenId>{1, 2, 3}, std::vector<std::uint8_t>{1, 0, 1});
    writer.add_source(describe_source(folder / "source"));
    writer.commit();
  }
  const Bytes good = read_file(folder / "corpus");
  int unnoticed = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= std::byte{0x10};
    put(folder / "bad", as_text(bad));
    try {
      TokenCorpus::open(folder / "bad", TokenCorpus::Check::kEverything);
      EXPECT_EQ(good[i], std::byte{0}) << i;  // padding
      ++unnoticed;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    }
  }
  EXPECT_LT(unnoticed, 4 * 64);
  for (std::size_t length = 0; length < good.size(); ++length) {
    put(folder / "bad", as_text(good).substr(0, length));
    EXPECT_NE(refusal([&] { TokenCorpus::open(folder / "bad"); }), "");
  }
  put(folder / "bad", std::string(as_text(good)) + "x");
  EXPECT_NE(refusal([&] { TokenCorpus::open(folder / "bad"); }), "");
}

}  // namespace
}  // namespace kinglet
