// Documents as tokens: which of them are trained, and corpora made of files.
#include "kinglet/text/training_text.h"

#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/files_in.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/parallel.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::ByteTokenizer;
using testing_support::put;
using testing_support::refusal;
using testing_support::TemporaryFolder;

Document read_one(std::string_view line) { return *DocumentReader(line, "data.jsonl").next(); }

std::string trained_part(const EncodedDocument& document) {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < document.tokens.size(); ++i) {
    if (document.trained[i] != 0) ids.push_back(document.tokens[i]);
  }
  return ByteTokenizer().decode(ids, /*skip_special=*/false);
}
std::string all_of(const EncodedDocument& document) { return ByteTokenizer().decode(document.tokens, false); }

TEST(TrainingText, OfAPlainTextEverythingIsTrained) {
  const EncodedDocument document = encode_document(read_one(R"({"text": "abc"})"), ByteTokenizer(), nullptr);
  // The tokenizer puts BOS before texts.
  EXPECT_EQ(all_of(document), "<bos>abc");
  EXPECT_EQ(trained_part(document), "<bos>abc");
}

TEST(TrainingText, ThePlainFormTrainsResponsesWithTheirEos) {
  const EncodedDocument document = encode_document(
      read_one(
          R"({"conversations": [{"from": "system", "value": "S"}, {"from": "human", "value": "Q1"}, {"from": "gpt", "value": "A1"}, {"from": "human", "value": "Q2"}, {"from": "gpt", "value": "A2"}]})"),
      ByteTokenizer(), nullptr);
  EXPECT_EQ(all_of(document),
            "<bos>### System:\nS\n\n### Instruction:\nQ1\n\n### Response:\nA1<eos>"
            "\n\n### Instruction:\nQ2\n\n### Response:\nA2<eos>");
  EXPECT_EQ(trained_part(document), "A1<eos>A2<eos>");
}

TEST(TrainingText, AChatTemplateTrainsWhatTheModelWrites) {
  const ChatTemplate chat = ChatTemplate::parse(
      "{% for m in messages %}[{{ m.role }}]{{ m.content }}<eos>{% endfor %}{% if add_generation_prompt "
      "%}[assistant]{% endif %}");
  const EncodedDocument document =
      encode_document(read_one(R"({"instruction": "Q", "input": "I", "output": "A"})"), ByteTokenizer(), &chat);
  EXPECT_EQ(all_of(document), "[user]Q\n\nI<eos>[assistant]A<eos>");
  EXPECT_EQ(trained_part(document), "A<eos>");
}

TEST(TrainingText, UnknownRolesNeedATemplate) {
  EXPECT_THAT(refusal([] {
                encode_document(read_one(R"({"messages": [{"role": "critic", "content": "x"}]})"), ByteTokenizer(),
                                nullptr);
              }),
              HasSubstr("critic"));
}

TEST(TrainingCorpus, FilesBecomeOneCorpusWhateverTheThreads) {
  const TemporaryFolder folder;
  std::string lines;
  for (int i = 0; i < 2000; ++i) lines += "{\"text\": \"document " + std::to_string(i) + "\"}\n";
  put(folder / "a.jsonl", lines);
  put(folder / "b.jsonl", R"({"instruction": "Q", "output": "A"})"
                          "\n"
                          R"({"messages": [{"role": "user", "content": "x"}]})");
  put(folder / "c.jsonl", R"({"instruction": "Q", "output": "A"})");
  const auto build = [&](int threads, const char* name) {
    set_num_threads(threads);
    return build_token_corpus({folder / "a.jsonl", folder / "c.jsonl"}, {}, ByteTokenizer(), nullptr, folder / name);
  };
  const CorpusReport report = build(1, "one");
  build(3, "three");
  set_num_threads(0);
  EXPECT_EQ(read_file(folder / "one"), read_file(folder / "three"));
  EXPECT_EQ(report.documents, 2001U);
  const TokenCorpus corpus = TokenCorpus::open(folder / "one", TokenCorpus::Check::kEverything);
  EXPECT_EQ(corpus.tokens(), report.tokens);
  EXPECT_EQ(corpus.tokenizer_fingerprint(), tokenizer_fingerprint(ByteTokenizer()));
  ASSERT_EQ(corpus.sources().size(), 2U);
  EXPECT_EQ(corpus.sources()[0].documents, 2000U);
  std::vector<TokenId> ids;
  corpus.read(1234, 0, corpus.length(1234), ids);
  EXPECT_EQ(ByteTokenizer().decode(ids), "document 1234");
  EXPECT_THAT(refusal([&] { build_token_corpus({folder / "b.jsonl"}, {}, ByteTokenizer(), nullptr, folder / "two"); }),
              AllOf(HasSubstr("b.jsonl, line 2"), HasSubstr("'instruction'")));
}

TEST(TrainingCorpus, ErrorsOfATemplateNameTheLineOfTheData) {
  const TemporaryFolder folder;
  put(folder / "a.jsonl", "\n{\"instruction\": \"Q\", \"output\": \"A\"}");
  const ChatTemplate chat = ChatTemplate::parse("{{ raise_exception('not this') }}");
  EXPECT_THAT(refusal([&] { build_token_corpus({folder / "a.jsonl"}, {}, ByteTokenizer(), &chat, folder / "out"); }),
              AllOf(HasSubstr("a.jsonl, line 2"), HasSubstr("not this")));
}

TEST(TrainingCorpus, DocumentsWithoutAReplyAreLeftOut) {
  const TemporaryFolder folder;
  put(folder / "a.jsonl", R"({"messages": [{"role": "user", "content": "x"}]})");
  const CorpusReport report = build_token_corpus({folder / "a.jsonl"}, {}, ByteTokenizer(), nullptr, folder / "out");
  EXPECT_EQ(report.documents, 0U);
  EXPECT_EQ(report.untrained_documents, 1U);
}

}  // namespace
}  // namespace kinglet
