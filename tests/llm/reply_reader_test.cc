#include "kinglet/llm/reply_reader.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::refusal;

TEST(ReplyReader, ReadsADocument) {
  const ChatReply reply = parse_reply(R"({"id":"x","model":"m-1","system_fingerprint":"fp","choices":[{"index":0,
      "message":{"role":"assistant","content":"Hi","reasoning_content":"think"},"finish_reason":"stop",
      "logprobs":{"content":[{"token":"Hi","logprob":-0.5,"top_logprobs":[{"token":"Ho","logprob":-1}]}]}}],
      "usage":{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4},
      "completion_tokens_details":{"reasoning_tokens":2}}})");
  EXPECT_EQ(reply.text, "Hi");
  EXPECT_EQ(reply.reasoning, "think");
  EXPECT_EQ(reply.finish_reason, FinishReason::kStop);
  EXPECT_EQ(reply.usage, (TokenUsage{7, 4, 3, 2, false}));
  EXPECT_EQ(reply.model, "m-1");
  ASSERT_EQ(reply.log_probs.size(), 1U);
  EXPECT_EQ(reply.log_probs[0].alternatives[0].token, "Ho");
  EXPECT_DOUBLE_EQ(*reply.mean_log_prob(), -0.5);
}

const char kStream[] =
    ": ping\n\n"
    "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"H\xC3\xA9\"},\"logprobs\":{\"content\":"
    "[{\"token\":\"H\xC3\xA9\",\"logprob\":-0.25}]}}]}\n\n"
    "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"llo\"},\"finish_reason\":\"length\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n"
    "data: [DONE]\n\n";

TEST(ReplyReader, ReadsAStreamHoweverItIsCut) {
  const std::string text = kStream;
  for (std::size_t piece = 1; piece <= text.size(); piece += 7) {
    ReplyReader reader;
    std::string seen;
    for (std::size_t at = 0; at < text.size(); at += piece)
      seen += reader.feed(std::string_view(text).substr(at, piece));
    EXPECT_TRUE(reader.at_end());
    const ChatReply reply = reader.finish();
    EXPECT_EQ(reply.text, "H\xC3\xA9llo");
    EXPECT_EQ(seen, reply.text);
    EXPECT_EQ(reply.finish_reason, FinishReason::kLength);
    EXPECT_EQ(reply.usage, (TokenUsage{5, 0, 2, 0, false}));
    EXPECT_EQ(reply.log_probs.size(), 1U);
  }
}

TEST(ReplyReader, WaitsThroughBlankLinesBeforeADocument) {
  EXPECT_EQ(parse_reply("\n\n \r\n{\"choices\":[{\"message\":{\"content\":\"x\"}}]}").text, "x");
}

TEST(ReplyReader, TakesContentAsNullOrParts) {
  EXPECT_EQ(parse_reply(R"({"choices":[{"message":{"content":null,"refusal":"no"}}]})").refusal, "no");
  EXPECT_EQ(parse_reply(R"({"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"x"},"b"]}}]})").text,
            "ab");
}

TEST(ReplyReader, MarksMissingUsage) {
  EXPECT_TRUE(parse_reply(R"({"choices":[{"message":{"content":"x"}}]})").usage.estimated);
  EXPECT_TRUE(parse_reply(R"({"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":-4}})").usage.estimated);
  const std::string many = R"({"choices":[{"message":{}}],"usage":{"prompt_tokens":1e300,"completion_tokens":2}})";
  EXPECT_EQ(parse_reply(many).usage, (TokenUsage{0, 0, 2, 0, true}));
}

TEST(ReplyReader, TakesOnlyUsableLogProbs) {
  const ChatReply reply = parse_reply(R"({"choices":[{"message":{"content":"x"},"logprobs":{"content":[
      {"token":"a","logprob":0.25},{"token":"b","logprob":null},{"token":"c"},7,{"token":"d","logprob":-2}]}}]})");
  ASSERT_EQ(reply.log_probs.size(), 2U);
  EXPECT_EQ(reply.log_probs[0].log_prob, 0);
  EXPECT_EQ(reply.log_probs[1].token, "d");
  const ChatReply completion = parse_reply(
      R"({"choices":[{"text":"yes","logprobs":{"tokens":["y","es"],"token_logprobs":[null,-1.5]},"finish_reason":"stop"}]})");
  EXPECT_EQ(completion.text, "yes");
  ASSERT_EQ(completion.log_probs.size(), 1U);
  EXPECT_EQ(completion.log_probs[0].token, "es");
}

TEST(ReplyReader, RepairsDamagedCharacters) {
  EXPECT_EQ(parse_reply("{\"choices\":[{\"message\":{\"content\":\"a\xFF"
                        "b\"}}]}")
                .text,
            "a\xEF\xBF\xBD"
            "b");
}

TEST(ReplyReader, RefusesWhatIsNoReply) {
  EXPECT_THAT(refusal([] { parse_reply(""); }), HasSubstr("is empty"));
  EXPECT_THAT(refusal([] { parse_reply("<html>busy</html>"); }), HasSubstr("no choice"));
  EXPECT_THAT(refusal([] { parse_reply("{\"choices\":[{\"mess"); }), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal([] { parse_reply("{\"choices\":[]}"); }), HasSubstr("no choice"));
  EXPECT_THAT(refusal([] { parse_reply("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n"); }),
              HasSubstr("stops before its end"));
  EXPECT_THAT(refusal([] { parse_reply("data: {oops\n\ndata: [DONE]\n\n"); }), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal([] { parse_reply(std::string(500, '{')); }), HasSubstr("nested"));
}

TEST(ReplyReader, KeepsAnErrorInsideASuccess) {
  ReplyReader reader;
  reader.feed("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
  reader.feed("data: {\"error\":{\"message\":\"slow\\ndown\",\"type\":\"rate_limit\",\"code\":429}}\n\n");
  EXPECT_THAT(refusal([&] { reader.finish(); }), HasSubstr("the server reports: slow"));
  ASSERT_TRUE(reader.error());
  EXPECT_EQ(reader.error()->code, "429");
  EXPECT_EQ(reader.error()->type, "rate_limit");
}

TEST(ReplyReader, BoundsTheBody) {
  ReplyReader reader(100);
  for (int i = 0; i < 50; ++i) reader.feed("data: x\n");
  EXPECT_THAT(refusal([&] { reader.finish(); }), HasSubstr("more than 100 bytes"));
}

TEST(ServerErrors, AreFoundInAllTheirShapes) {
  EXPECT_EQ(server_error_in(R"({"error":{"message":"m","type":"t","code":"insufficient_quota"}})")->code,
            "insufficient_quota");
  EXPECT_EQ(server_error_in(R"({"error":"m"})")->message, "m");
  EXPECT_EQ(server_error_in(R"({"detail":"m"})")->message, "m");
  EXPECT_EQ(server_error_in(R"({"object":"error","message":"m"})")->message, "m");
  EXPECT_FALSE(server_error_in("<html>"));
  EXPECT_FALSE(server_error_in("{}"));
}

TEST(ChatReply, SurvivesJson) {
  ChatReply reply = parse_reply(kStream);
  const ChatReply again = reply_from_json(reply_to_json(reply), "test");
  EXPECT_EQ(again.text, reply.text);
  EXPECT_EQ(again.usage, reply.usage);
  EXPECT_EQ(again.log_probs, reply.log_probs);
  EXPECT_EQ(again.finish_reason, reply.finish_reason);
  EXPECT_THAT(refusal([] { reply_from_json(Json::parse("{\"text\":3}"), "cache"); }), HasSubstr("cache: "));
}

}  // namespace
}  // namespace kinglet
