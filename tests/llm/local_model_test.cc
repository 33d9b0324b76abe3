// A model of this process behind the ChatModel interface: text, ends, log-probabilities, cancelling, what is refused.
#include "kinglet/llm/local_model.h"

#include <chrono>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/scripted_engine.h"

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::ScriptedEngine;

constexpr TokenId kEnd = 600;  // <|endoftext|>

class LocalModelTest : public testing::Test {
 protected:
  LocalModelTest()
      : tokenizer(Tokenizer::load(std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text/gpt2.json")) {}

  // A model that says `text`, then ends.
  std::unique_ptr<LocalModel> saying(const std::string& text, ScriptedEngine::Options options = {}) {
    options.next = [this, tokens = tokenizer->encode(text, false)](const TokenRequest& request, std::int64_t position) {
      seen = request;
      return position < static_cast<std::int64_t>(tokens.size()) ? tokens[static_cast<std::size_t>(position)] : kEnd;
    };
    LocalEngine parts;
    parts.tokenizer = tokenizer;
    parts.chat_template = ChatTemplate::parse("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
    parts.eos = {kEnd};
    parts.engine = engine = std::make_shared<ScriptedEngine>(std::move(options));
    parts.name = "local";
    return std::make_unique<LocalModel>(std::move(parts));
  }
  static ChatRequest asking(const std::string& text) {
    ChatRequest request;
    request.messages = {{"user", text}};
    return request;
  }

  std::shared_ptr<const Tokenizer> tokenizer;
  TokenRequest seen;                       // written by the engine's thread
  std::shared_ptr<ScriptedEngine> engine;  // last: its thread ends before `seen` does
};

TEST_F(LocalModelTest, AnswersInPiecesThatAreTheReply) {
  const auto model = saying("A kinglet is a small bird \xF0\x9F\x90\xA6.");
  ChatRequest request = asking("What is it?");
  request.temperature = 0.5;
  request.seed = 9;
  request.sample = 3;
  request.extra = {{"top_k", 7}};
  std::string pieces;
  ChatReply reply;
  model->submit(request, {.on_text = [&](std::string_view piece) { pieces += piece; },
                          .on_reply = [&](ChatReply got) { reply = std::move(got); }});
  EXPECT_EQ(model->open_calls(), 1U);
  while (model->poll(std::chrono::milliseconds(50))) {
  }
  EXPECT_TRUE(reply.done()) << reply.error;
  EXPECT_EQ(reply.text, "A kinglet is a small bird \xF0\x9F\x90\xA6.");
  EXPECT_EQ(pieces, reply.text);
  EXPECT_EQ(reply.finish_reason, FinishReason::kStop);
  EXPECT_EQ(reply.model, "local");
  EXPECT_EQ(reply.usage.prompt, static_cast<std::int64_t>(tokenizer->encode("<user>What is it?", false).size()));
  EXPECT_GT(reply.usage.completion, 3);
  EXPECT_EQ(seen.choice.temperature, 0.5);
  EXPECT_EQ(seen.choice.seed, 9U);
  EXPECT_EQ(seen.choice.top_k, 7);
  EXPECT_EQ(seen.sequence, 3U);
}

TEST_F(LocalModelTest, EndsAtAStopTextAndAtTheLimit) {
  const auto model = saying("one two three four five");
  ChatRequest request = asking("count");
  request.stop = {" three"};
  EXPECT_EQ(complete(*model, request).text, "one two");
  EXPECT_EQ(complete(*model, request).finish_reason, FinishReason::kStop);
  request.stop.clear();
  request.max_tokens = 2;
  EXPECT_EQ(complete(*model, request).finish_reason, FinishReason::kLength);
  EXPECT_EQ(complete(*model, request).usage.completion, 2);
}

TEST_F(LocalModelTest, GivesLogProbabilities) {
  const auto model = saying(" yes");
  ChatRequest request = asking("?");
  request.log_probs = true;
  request.top_log_probs = 2;
  const ChatReply reply = complete(*model, request);
  ASSERT_FALSE(reply.log_probs.empty());
  EXPECT_LE(reply.log_probs[0].log_prob, 0.0);
  std::string together;
  for (const TokenLogProb& one : reply.log_probs) together += one.token;
  EXPECT_EQ(together, " yes") << "texts, not the vocabulary's spelling of a blank";
  EXPECT_EQ(reply.log_probs[0].alternatives.size(), 2U);
  EXPECT_TRUE(reply.mean_log_prob());
}

TEST_F(LocalModelTest, ManyCallsAtOnce) {
  const auto model = saying("fine", {.parallel = 4});
  const std::vector<ChatRequest> requests(50, asking("how are you?"));
  for (const ChatReply& reply : complete_all(*model, requests)) EXPECT_EQ(reply.text, "fine");
}

TEST_F(LocalModelTest, CancellingAndDeadlinesEndACall) {
  const auto model = saying(std::string(4000, 'x'), {.positions = 100'000, .step = std::chrono::milliseconds(2)});
  std::vector<ReplyStatus> ends;
  const auto note = [&](ChatReply reply) { ends.push_back(reply.status); };
  const CallId first = model->submit(asking("a"), {.on_reply = note});
  model->poll(std::chrono::milliseconds(10));
  model->cancel(first);
  while (model->poll(std::chrono::milliseconds(20))) {
  }
  ChatRequest hasty = asking("b");
  hasty.deadline = std::chrono::milliseconds(20);
  model->submit(hasty, {.on_reply = note});
  while (model->poll(std::chrono::milliseconds(5))) {
  }
  EXPECT_THAT(ends, testing::ElementsAre(ReplyStatus::kCancelled, ReplyStatus::kDeadline));
}

TEST_F(LocalModelTest, WhatItCannotDoIsAFailedReply) {
  const auto model = saying("no", {.fails_after = 0});
  EXPECT_EQ(complete(*model, asking("x")).status, ReplyStatus::kFailed);
  ChatRequest schema = asking("x");
  schema.json_schema = Json::object();
  EXPECT_THAT(complete(*model, schema).error, HasSubstr("json_schema"));
  ChatRequest strange = asking("x");
  strange.extra = {{"logit_bias", 1}};
  EXPECT_THAT(complete(*model, strange).error, HasSubstr("logit_bias"));
  EXPECT_THROW(model->submit(ChatRequest(), {.on_reply = [](ChatReply) {}}), Error);
  EXPECT_THROW(LocalModel(LocalEngine{.tokenizer = tokenizer, .name = "bare"}), Error);
}

TEST_F(LocalModelTest, GoingAwayWithOpenCalls) {
  auto model = saying(std::string(4000, 'x'), {.positions = 100'000, .step = std::chrono::milliseconds(1)});
  for (int i = 0; i < 5; ++i) {
    model->submit(asking("a"), {.on_reply = [](ChatReply) { FAIL() << "nobody is there any more"; }});
  }
  model->poll(std::chrono::milliseconds(5));
  model.reset();
}

}  // namespace
}  // namespace kinglet
