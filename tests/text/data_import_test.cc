// Import of dictionaries and files, and the summary of what came out.
#include "kinglet/text/data_import.h"

#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/files_in.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/text/data_summary.h"
#include "kinglet/text/dictd.h"
#include "kinglet/text/training_text.h"

namespace kinglet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::put;
using testing_support::refusal;
using testing_support::TemporaryFolder;

std::string base64(std::uint64_t value) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string digits;
  do digits.insert(digits.begin(), kDigits[value % 64]);
  while ((value /= 64) > 0);
  return digits;
}

// A dictd dictionary of these articles, packed.
std::filesystem::path put_dictionary(const TemporaryFolder& folder, const std::vector<std::string>& articles) {
  std::string text = "about\n", index = "00-database-info\tA\tG\n";
  for (std::size_t i = 0; i < articles.size(); ++i) {
    const std::string line = "\t" + base64(text.size()) + "\t" + base64(articles[i].size()) + "\n";
    index += "word" + std::to_string(i) + line + "another" + std::to_string(i) + line;
    text += articles[i];
  }
  put(folder / "words.index", index);
  const gzFile file = gzopen((folder / "words.dict.dz").c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  return folder / "words";
}

std::vector<std::string> texts_of(const std::filesystem::path& path) {
  DocumentReader reader(path);
  std::vector<std::string> texts;
  while (auto document = reader.next()) texts.push_back(document->text);
  return texts;
}

TEST(DictdFile, ArticlesComeOnceInTheirOrder) {
  const TemporaryFolder folder;
  const DictdFile file = DictdFile::open(put_dictionary(folder, {"first", "second"}));
  ASSERT_EQ(file.size(), 2U);
  EXPECT_EQ(file.article(0), "first");
  EXPECT_EQ(file.article(1), "second");
}

TEST(DictdFile, DamagedFilesAreRefused) {
  const TemporaryFolder folder;
  const auto base = put_dictionary(folder, {"first"});
  for (const char* index : {"a\tB\n", "a\t?\tB\n", "a\t/////\tB\n", "a\tA\t/////\n", "a\tAAAAAAAAAAAA\tA\n", "a\n"}) {
    put(folder / "words.index", index);
    EXPECT_THAT(refusal([&] { DictdFile::open(base); }), HasSubstr("words.index, line 1")) << index;
  }
}

TEST(DataImport, ADictionaryIsSplitByItsHeadwords) {
  const TemporaryFolder folder;
  std::vector<std::string> articles;
  for (int i = 0; i < 400; ++i) {
    const std::string word = "Word" + std::to_string(i / 2);  // two articles a headword
    articles.push_back(word + " \\W\\, n.\n   Meaning number " + std::to_string(i) + ".\n");
  }
  ImportOptions options;
  options.input = put_dictionary(folder, articles);
  options.out = folder / "out";
  options.validation = 0.25;
  const ImportReport report = import_data(options);
  ASSERT_EQ(report.files.size(), 2U);
  EXPECT_EQ(report.files[0].documents + report.files[1].documents, 400U);
  EXPECT_NEAR(static_cast<double>(report.files[1].documents), 100, 40);
  std::set<std::string> training, validation;
  for (const std::string& text : texts_of(folder / "out/train.jsonl")) training.insert(text.substr(0, text.find(' ')));
  for (const std::string& text : texts_of(folder / "out/validation.jsonl")) {
    validation.insert(text.substr(0, text.find(' ')));
  }
  for (const std::string& word : validation) EXPECT_FALSE(training.contains(word)) << word;
  EXPECT_EQ(training.size() + validation.size(), 200U);
}

TEST(DataImport, InstructionsAreAlpacaRecords) {
  const TemporaryFolder folder;
  ImportOptions options;
  options.from = ImportSource::kWordNet;
  options.as = ImportForm::kInstructions;
  options.input = put_dictionary(folder, {"run\n    n 1: a score\n"});
  options.out = folder / "out.jsonl";
  import_data(options);
  DocumentReader reader(folder / "out.jsonl");
  EXPECT_EQ(reader.format(), DocumentFormat::kAlpaca);
  EXPECT_EQ(reader.next()->messages[1]["content"], "A score.");
  options.from = ImportSource::kText;
  EXPECT_THAT(refusal([&] { import_data(options); }), HasSubstr("dictionaries"));
}

TEST(DataImport, TextAndJsonLinesAreImported) {
  const TemporaryFolder folder;
  put(folder / "in/b.txt", "second\n\nthird\n");
  put(folder / "in/a.txt", "first");
  ImportOptions options;
  options.from = ImportSource::kText;
  options.input = folder / "in";
  options.out = folder / "out.jsonl";
  options.text_unit = TextUnit::kParagraph;
  EXPECT_EQ(import_data(options).files[0].documents, 3U);
  EXPECT_THAT(texts_of(folder / "out.jsonl"), ElementsAre("first", "second", "third"));
  put(folder / "chat.jsonl", R"({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})");
  options.from = ImportSource::kJsonl;
  options.input = folder / "chat.jsonl";
  import_data(options);
  EXPECT_EQ(DocumentReader(folder / "out.jsonl").format(), DocumentFormat::kMessages);
}

TEST(DataImport, MissingInputIsNamedAndNothingIsWritten) {
  const TemporaryFolder folder;
  ImportOptions options;
  options.input = folder / "nothing";
  options.out = folder / "out.jsonl";
  EXPECT_THAT(refusal([&] { import_data(options); }), HasSubstr("dict-gcide"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(DataSummary, CountsEveryFormat) {
  const TemporaryFolder folder;
  put(folder / "a.jsonl", "{\"text\": \"aé\"}\n{\"text\": \"b\"}\n");
  const testing_support::ByteTokenizer tokenizer;
  SummaryOptions options;
  options.tokenizer = &tokenizer;
  const DataSummary texts = summarize_data(folder / "a.jsonl", options);
  EXPECT_EQ(texts.kind, "jsonl");
  EXPECT_EQ(texts.documents, 2U);
  EXPECT_EQ(texts.characters, 3U);
  EXPECT_EQ(texts.tokens, 6U);  // each with its BOS
  EXPECT_THAT(texts.examples, ElementsAre("aé", "b"));
  put(folder / "b.jsonl", R"({"instruction": "Q", "output": "A"})");
  const DataSummary chat = summarize_data(folder / "b.jsonl", options);
  EXPECT_EQ(chat.messages, 2U);
  EXPECT_EQ(chat.trained_tokens, 2U);
  EXPECT_THAT(chat.examples, ElementsAre("user: Q\nassistant: A"));
  build_token_corpus({folder / "a.jsonl"}, {}, tokenizer, nullptr, folder / "corpus");
  put(folder / "a.jsonl", "{\"text\": \"\"}\n");
  const DataSummary corpus = summarize_data(folder / "corpus", options);
  EXPECT_EQ(corpus.kind, "token corpus");
  EXPECT_EQ(corpus.tokens, 6U);
  EXPECT_THAT(corpus.notes, testing::Contains(HasSubstr("warning: ")));
}

}  // namespace
}  // namespace kinglet
