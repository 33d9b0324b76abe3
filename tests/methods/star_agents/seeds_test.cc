#include "kinglet/methods/star_agents/seeds.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/error.h"

namespace kinglet::star_agents {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr const char* kAlpaca =
    R"({"instruction": "Add", "input": "1 and 2", "output": "3", "topic": "sums"}
{"instruction": "Name a river", "output": "Rhine"}
)";
constexpr const char* kShareGpt =
    R"({"system": "Be brief", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"},
{"from": "human", "value": "Name a river"}, {"from": "gpt", "value": "Rhine"}], "source": "x"})";

std::string one_line(std::string text) {
  std::erase(text, '\n');
  return text;
}

TEST(Seeds, ReadsEveryShape) {
  const SeedFile alpaca = parse_seeds(kAlpaca, "a", {});
  ASSERT_THAT(alpaca.seeds, SizeIs(2));
  EXPECT_EQ(alpaca.format, DocumentFormat::kAlpaca);
  EXPECT_EQ(alpaca.seeds[0].instruction(), "Add\n\n1 and 2");
  EXPECT_EQ(alpaca.seeds[0].response, "3");
  EXPECT_EQ(alpaca.seeds[1].line, 2U);

  const SeedFile sharegpt = parse_seeds(one_line(kShareGpt), "s", {});
  ASSERT_THAT(sharegpt.seeds, SizeIs(1));
  EXPECT_THAT(sharegpt.seeds[0].context, SizeIs(4));
  EXPECT_EQ(sharegpt.seeds[0].instruction(), "Name a river");

  const SeedFile messages = parse_seeds(R"([{"messages": [{"role": "user", "content": "a, [b] \"}\" c"}]},
                      {"messages": [{"role": "user", "content": "d"}, {"role": "assistant", "content": "e"}]}])",
                                        "m", {});
  ASSERT_THAT(messages.seeds, SizeIs(2));
  EXPECT_EQ(messages.seeds[0].response, "");
  EXPECT_EQ(messages.seeds[1].response, "e");
}

TEST(Seeds, IdsComeFromTheContent) {
  const SeedFile one = parse_seeds(R"({"instruction": "Name a river", "output": "Rhine"})", "a", {});
  EXPECT_EQ(one.seeds[0].id, parse_seeds(kAlpaca, "b", {}).seeds[1].id);
  EXPECT_NE(one.seeds[0].id, parse_seeds(kAlpaca, "b", {}).seeds[0].id);
}

TEST(Seeds, LeavesDuplicatesOutOrNamesThemApart) {
  const std::string twice =
      "{\"instruction\": \"Name a river\", \"output\": \"Rhine\"}\n"
      "{\"instruction\": \"name  a River \", \"output\": \"Nile\"}\n";
  const SeedFile first = parse_seeds(twice, "a", {});
  EXPECT_THAT(first.seeds, SizeIs(1));
  EXPECT_EQ(first.duplicates, 1U);
  const SeedFile both = parse_seeds(twice, "a", {.keep_duplicates = true});
  ASSERT_THAT(both.seeds, SizeIs(2));
  EXPECT_NE(both.seeds[0].id, both.seeds[1].id);
}

TEST(Seeds, RejectsBadRecordsAndGoesOn) {
  const std::string lines = std::string(kAlpaca) +
                            "{\"instruction\": 7, \"output\": \"x\"}\n"      // line 3: not a text
                            "{\"instruction\": \" \", \"output\": \"x\"}\n"  // empty
                            "{\"output\": \"x\"}\n"                          // missing
                            "{\"instruction\": \"a\\u0000b\", \"output\": \"x\"}\n"
                            "{\"instruction\": \"\xff\", \"output\": \"x\"}\n"
                            "{\"instruction\": \"cut\n"
                            "\n"
                            "{\"instruction\": \"last\", \"output\": \"y\"}\n";
  const SeedFile file = parse_seeds(lines, "data.jsonl", {});
  EXPECT_THAT(file.seeds, SizeIs(3));
  ASSERT_THAT(file.rejected, SizeIs(6));
  EXPECT_EQ(file.rejected[0].line, 3U);
  EXPECT_THAT(file.rejected[0].reason, HasSubstr("data.jsonl:3"));
  EXPECT_EQ(file.rejected[5].line, 8U);
  EXPECT_THROW(parse_seeds(lines, "data.jsonl", {.strict = true}), Error);
}

TEST(Seeds, RefusesWhatHoldsNoSeeds) {
  for (const char* text : {"", "\n\n", "plain text", "{\"text\": \"a\"}", "[", "[]", "[{\"instruction\": \"a\"", "{}",
                           "[[[[", "[] x", "[\"a\"]"}) {
    EXPECT_THROW(parse_seeds(text, "a", {}), Error) << text;
  }
  const std::string deep = "[" + std::string(100'000, '[') + std::string(100'000, ']') + "]";
  EXPECT_THROW(parse_seeds(deep, "a", {}), Error);
}

TEST(Seeds, LimitsRecordsAndTurns) {
  const std::string chat = one_line(kShareGpt);
  EXPECT_THROW(parse_seeds(chat, "a", {.single_turn = true}), Error);
  EXPECT_THROW(parse_seeds(chat, "a", {.longest_record = 50}), Error);
  EXPECT_THAT(parse_seeds(kAlpaca, "a", {.limit = 1}).seeds, SizeIs(1));
}

TEST(Seeds, WritesTheShapeOfTheFile) {
  const SeedFile alpaca = parse_seeds(kAlpaca, "a", {});
  const Json same =
      refined_record(alpaca.seeds[0], alpaca.format, alpaca.format, alpaca.seeds[0].instruction(), "three");
  EXPECT_EQ(same["output"], "three");
  EXPECT_EQ(same["input"], "1 and 2");
  EXPECT_EQ(same["topic"], "sums");
  const Json rewritten = refined_record(alpaca.seeds[0], alpaca.format, alpaca.format, "Add 1, 2 and 4", "seven");
  EXPECT_EQ(rewritten["instruction"], "Add 1, 2 and 4");
  EXPECT_EQ(rewritten["input"], "");

  const SeedFile sharegpt = parse_seeds(one_line(kShareGpt), "s", {});
  const Json chat =
      refined_record(sharegpt.seeds[0], sharegpt.format, sharegpt.format, "Name two rivers", "Rhine, Nile");
  EXPECT_EQ(chat["conversations"][2]["value"], "Name two rivers");
  EXPECT_EQ(chat["conversations"][3]["value"], "Rhine, Nile");
  EXPECT_EQ(chat["conversations"][1]["value"], "Hello");
  EXPECT_EQ(chat["source"], "x");

  const SeedFile open = parse_seeds(R"({"messages": [{"role": "user", "content": "a"}]})", "m", {});
  const Json answered = refined_record(open.seeds[0], open.format, open.format, "a", "b");
  EXPECT_EQ(answered["messages"][1]["role"], "assistant");
  EXPECT_EQ(answered["messages"][1]["content"], "b");
}

TEST(Seeds, WritesEveryOtherShape) {
  const SeedFile sharegpt = parse_seeds(one_line(kShareGpt), "s", {});
  for (const DocumentFormat format : {DocumentFormat::kAlpaca, DocumentFormat::kMessages, DocumentFormat::kShareGpt}) {
    const Json record = refined_record(sharegpt.seeds[0], sharegpt.format, format, "Name two rivers", "Rhine, Nile");
    const SeedFile again = parse_seeds(record.dump(), "again", {.format = format});
    EXPECT_EQ(again.seeds[0].response, "Rhine, Nile");
    EXPECT_EQ(again.seeds[0].instruction(), "Name two rivers");
  }
}

TEST(Seeds, SplitsListsWithoutReadingThem) {
  EXPECT_THAT(split_json_list("[1, {\"a\": [2, 3]}, \"x,]\\\"\"]", "a"),
              ElementsAre("1", " {\"a\": [2, 3]}", " \"x,]\\\"\""));
  EXPECT_THROW(split_json_list("[1, 2", "a"), Error);
  EXPECT_THROW(split_json_list("[\"a", "a"), Error);
  EXPECT_THROW(split_json_list("[\"a\\", "a"), Error);
}

}  // namespace
}  // namespace kinglet::star_agents
