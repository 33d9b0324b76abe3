// Readers of training data: every format, and what they say of records that do not fit.
#include "kinglet/text/documents.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::refusal;

std::vector<Document> read_all(std::string_view bytes, const ReaderOptions& options = {}) {
  DocumentReader reader(bytes, "data.jsonl", options);
  std::vector<Document> documents;
  while (auto document = reader.next()) documents.push_back(std::move(*document));
  EXPECT_EQ(reader.position(), reader.size());
  return documents;
}

std::vector<std::string> texts(std::string_view bytes, const ReaderOptions& options = {}) {
  std::vector<std::string> result;
  for (const Document& document : read_all(bytes, options)) result.push_back(document.text);
  return result;
}

TEST(Documents, JsonTexts) {
  EXPECT_THAT(texts("{\"text\": \"a\\nb\"}\n\n  \n{\"text\": \"é\", \"other\": 1}"), ElementsAre("a\nb", "é"));
  EXPECT_THAT(texts("\xEF\xBB\xBF{\"text\": \"a\"}\r\n{\"text\": \"\"}\r\n"), ElementsAre("a", ""));
  EXPECT_TRUE(read_all("").empty());
  EXPECT_TRUE(read_all("\n \n").empty());
}

TEST(Documents, PlainTextByFileParagraphAndLine) {
  const std::string text = "one\ntwo\n\n \nthree\n";
  EXPECT_THAT(texts(text), ElementsAre(text));
  ReaderOptions options;
  options.text_unit = TextUnit::kParagraph;
  EXPECT_THAT(texts(text, options), ElementsAre("one\ntwo", "three"));
  EXPECT_EQ(read_all(text, options)[1].line, 5U);
  options.text_unit = TextUnit::kLine;
  EXPECT_THAT(texts(text, options), ElementsAre("one", "two", "three"));
}

TEST(Documents, AlpacaBecomesAConversation) {
  const auto documents = read_all(
      "{\"instruction\": \"Add.\", \"input\": \"1 2\", \"output\": \"3\"}\n"
      "{\"system\": \"Be brief.\", \"instruction\": \"Hi\", \"input\": \"\", \"output\": \"Hello\"}\n");
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents[0].messages.dump(),
            R"([{"role":"user","content":"Add.\n\n1 2"},{"role":"assistant","content":"3"}])");
  EXPECT_EQ(
      documents[1].messages.dump(),
      R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}])");
  EXPECT_EQ(documents[1].line, 2U);
}

TEST(Documents, ShareGptSpeakersBecomeRoles) {
  const auto documents = read_all(
      R"({"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})");
  ASSERT_EQ(documents.size(), 1U);
  EXPECT_EQ(documents[0].messages.dump(),
            R"([{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}])");
}

TEST(Documents, MessagesKeepWhatTemplatesMayUse) {
  const auto documents = read_all(
      R"({"messages": [{"role": "user", "content": "q", "name": "x"}, {"role": "assistant", "tool_calls": []}], "tools": "[{\"a\": 1}]"})"
      "\n"
      R"({"messages": [{"role": "user", "content": null}], "tools": []})");
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents[0].messages[0]["name"], "x");
  EXPECT_EQ(documents[0].tools.dump(), R"([{"a":1}])");
  EXPECT_TRUE(documents[1].tools.is_null());
}

TEST(Documents, ErrorsNameFileLineAndField) {
  const auto message = [](std::string_view bytes) { return refusal([&] { read_all(bytes); }); };
  EXPECT_THAT(message("{\"text\": \"a\"}\n\n{\"text\": 5}\n"),
              AllOf(HasSubstr("data.jsonl, line 3"), HasSubstr("'text'"), HasSubstr("a number")));
  EXPECT_THAT(message("{\"text\": \"a\"}\n{\"txt\": 5}\n"), AllOf(HasSubstr("line 2"), HasSubstr("is missing")));
  EXPECT_THAT(message("{\"text\": \"a\"}\n{\"text\": \"b\"\n"),
              AllOf(HasSubstr("line 2"), HasSubstr("not valid JSON")));
  EXPECT_THAT(message("{\"text\": \"a\"}\n[1]\n"), AllOf(HasSubstr("line 2"), HasSubstr("a list")));
  EXPECT_THAT(message("{\"text\": \"\xFF\"}\n"), HasSubstr("line 1"));
  EXPECT_THAT(message("{\"other\": 1}\n"), HasSubstr("unknown shape"));
  EXPECT_THAT(message("[\n"), HasSubstr("jq"));
  EXPECT_THAT(message("{\"instruction\": \"a\", \"input\": 1, \"output\": \"b\"}"), HasSubstr("'input'"));
  EXPECT_THAT(message("{\"instruction\": \"a\"}"), HasSubstr("'output'"));
  EXPECT_THAT(message(R"({"conversations": [{"from": "human", "value": "q"}, {"from": "cat", "value": "q"}]})"),
              AllOf(HasSubstr("conversations[1].from"), HasSubstr("cat")));
  EXPECT_THAT(message(R"({"conversations": []})"), HasSubstr("empty"));
  EXPECT_THAT(message(R"({"conversations": [5]})"), HasSubstr("conversations[0]"));
  EXPECT_THAT(message(R"({"messages": [{"role": "user", "content": 5}]})"), HasSubstr("messages[0].content"));
  EXPECT_THAT(message(R"({"messages": [{"content": "x"}]})"), HasSubstr("messages[0].role"));
  EXPECT_THAT(message(R"({"messages": [{"role": "user"}]})"), HasSubstr("messages[0].content"));
  EXPECT_THAT(message(R"({"messages": [{"role": "user", "content": ""}], "tools": {}})"), HasSubstr("'tools'"));
  EXPECT_THAT(message("{\"text\": " + std::string(5000, '[')), HasSubstr("nested"));
  EXPECT_THAT(message("one\ntwo\n\xC3"), AllOf(HasSubstr("line 3"), HasSubstr("UTF-8")));
}

TEST(Documents, TheFormatCanBeForced) {
  ReaderOptions options;
  options.format = DocumentFormat::kText;
  EXPECT_THAT(texts("{\"text\": \"a\"}", options), ElementsAre("{\"text\": \"a\"}"));
  options.format = DocumentFormat::kAlpaca;
  EXPECT_THAT(refusal([&] { texts("{\"text\": \"a\"}", options); }), HasSubstr("'instruction'"));
  for (const char* name : {"auto", "text", "jsonl", "alpaca", "sharegpt", "messages"}) {
    EXPECT_EQ(format_name(format_of_name(name).value()), name);
  }
  EXPECT_FALSE(format_of_name("csv").has_value());
}

TEST(Documents, LongRecordsAreRefused) {
  ReaderOptions options;
  options.longest_line = 100;
  const std::string line = "{\"text\": \"" + std::string(200, 'x') + "\"}";
  EXPECT_THAT(refusal([&] { texts("{\"text\": \"\"}\n" + line, options); }),
              AllOf(HasSubstr("line 2"), HasSubstr("limit")));
  EXPECT_THAT(refusal([&] { texts(std::string(200, 'x'), options); }), HasSubstr("limit"));
}

TEST(Documents, FilesAreRead) {
  const testing_support::TemporaryFolder folder;
  testing_support::put(folder / "a.jsonl", "{\"text\": \"a\"}\n");
  DocumentReader reader(folder / "a.jsonl");
  EXPECT_EQ(reader.format(), DocumentFormat::kJsonText);
  EXPECT_EQ(reader.next()->text, "a");
  EXPECT_FALSE(reader.next().has_value());
}

}  // namespace
}  // namespace kinglet
