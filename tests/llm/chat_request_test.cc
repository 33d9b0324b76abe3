#include "kinglet/llm/chat_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::refusal;

ChatRequest question(std::string text) {
  ChatRequest request;
  request.messages = {{"user", std::move(text)}};
  return request;
}

TEST(ChatRequest, BecomesTheBodyOfACall) {
  ChatRequest request = question("Hi");
  request.temperature = 0.5;
  request.max_tokens = 7;
  request.stop = {"\n"};
  request.seed = 3;
  EXPECT_EQ(request_body(request, {.model = "m"}),
            R"({"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":0.5,"max_tokens":7,"seed":3,)"
            R"("stop":["\n"],"stream":true,"stream_options":{"include_usage":true}})");
  request.stream = false;
  request.log_probs = true;
  request.top_log_probs = 2;
  request.extra = {{"temperature", 1}, {"chat_template_kwargs", {{"enable_thinking", false}}}};
  EXPECT_EQ(
      request_body(request, {.model = "m", .max_completion_tokens = true}),
      R"({"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"max_completion_tokens":7,)"
      R"("seed":3,"stop":["\n"],"logprobs":true,"top_logprobs":2,"chat_template_kwargs":{"enable_thinking":false}})");
}

TEST(ChatRequest, AsksForASchemaInTheStandardField) {
  ChatRequest request = question("Hi");
  request.json_schema = Json{{"type", "object"}};
  EXPECT_THAT(request_body(request, {.model = "m"}),
              HasSubstr(R"("response_format":{"type":"json_schema","json_schema":{"name":"reply","strict":true,)"
                        R"("schema":{"type":"object"}}})"));
}

TEST(RunKey, DependsOnWhatDecidesTheReply) {
  ChatRequest request = question("Hi");
  request.extra = {{"a", 1}, {"b", 2}};
  const std::string key = run_key(request, "http://x", "m");
  EXPECT_EQ(key.size(), 64U);

  ChatRequest same = request;
  same.extra = {{"b", 2}, {"a", 1}};  // the order of fields is no content
  same.role = "judge";
  same.priority = 4;
  same.stream = false;
  EXPECT_EQ(run_key(same, "http://x", "m"), key);

  ChatRequest other = request;
  other.temperature = 0.7;
  EXPECT_NE(run_key(other, "http://x", "m"), key);
  other = request;
  other.slot = "seed 4";
  EXPECT_NE(run_key(other, "http://x", "m"), key);
  EXPECT_EQ(content_key(other, "m"), content_key(request, "m"));
  other = request;
  other.sample = 1;
  EXPECT_NE(content_key(other, "m"), content_key(request, "m"));
  EXPECT_NE(run_key(request, "http://y", "m"), key);
  EXPECT_NE(run_key(request, "http://x", "n"), key);
}

TEST(ChatRequest, IsCheckedBeforeItCosts) {
  EXPECT_THAT(refusal([] { check_request({}); }), HasSubstr("messages: is empty"));
  EXPECT_THAT(refusal([] { check_request(question("\xFF")); }), HasSubstr("messages[0].content"));
  const auto with = [](auto change) {
    ChatRequest request = question("Hi");
    change(request);
    return refusal([&] { check_request(request); });
  };
  EXPECT_THAT(with([](ChatRequest& r) { r.temperature = -1; }), HasSubstr("temperature"));
  EXPECT_THAT(with([](ChatRequest& r) { r.max_tokens = 0; }), HasSubstr("max_tokens"));
  EXPECT_THAT(with([](ChatRequest& r) { r.top_log_probs = 2; }), HasSubstr("needs log_probs"));
  EXPECT_THAT(with([](ChatRequest& r) { r.stop = {""}; }), HasSubstr("stop"));
  EXPECT_THAT(with([](ChatRequest& r) { r.extra = 3; }), HasSubstr("extra"));
  EXPECT_THAT(with([](ChatRequest& r) { r.messages[0].role = ""; }), HasSubstr("role"));
}

TEST(PromptTokenBound, IsNeverBelowTheBytes) { EXPECT_GE(prompt_token_bound(question(std::string(1000, 'x'))), 1000); }

}  // namespace
}  // namespace kinglet
