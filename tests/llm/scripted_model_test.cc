#include "kinglet/llm/scripted_model.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

ChatRequest request_with(std::string text) {
  ChatRequest request;
  request.messages = {{"user", std::move(text)}};
  return request;
}

ScriptedModel echo(ScriptedModel::Options options = {}) {
  return ScriptedModel(
      [](const ChatRequest& request) { return reply_saying("re: " + request.messages.back().content); },
      std::move(options));
}

TEST(ScriptedModel, AnswersInTheOrderOfTheRequests) {
  ScriptedModel model = echo({.name = "x", .replies_per_poll = 3, .shuffle_seed = 5});
  std::vector<ChatRequest> requests;
  for (int i = 0; i < 50; ++i) requests.push_back(request_with(std::to_string(i)));
  const std::vector<ChatReply> replies = complete_all(model, requests);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(replies[static_cast<std::size_t>(i)].text, "re: " + std::to_string(i));
    EXPECT_EQ(replies[static_cast<std::size_t>(i)].usage.completion, 2);
  }
}

TEST(ScriptedModel, LetsCallbacksSubmitAndCancel) {
  ScriptedModel model = echo();
  std::vector<std::string> seen;
  CallId later = 0;
  model.submit(request_with("a"), {.on_text = {}, .on_reply = [&](const ChatReply& first) {
                                     seen.push_back(first.text);
                                     model.cancel(later);
                                     model.submit(request_with("c"),
                                                  {.on_text = {}, .on_reply = [&](const ChatReply& third) {
                                                     seen.push_back(third.text);
                                                   }});
                                   }});
  later = model.submit(request_with("b"), {.on_text = {}, .on_reply = [&](const ChatReply& second) {
                                             seen.emplace_back(name_of(second.status));
                                           }});
  ChatModel* const models[] = {&model};
  poll_until_idle(models);
  EXPECT_THAT(seen, testing::ElementsAre("re: a", "cancelled", "re: c"));
}

TEST(ScriptedModel, RefusesWhatNoModelCouldAnswer) {
  ScriptedModel model = ScriptedModel::saying("x");
  EXPECT_THROW(complete(model, ChatRequest()), Error);
  EXPECT_EQ(model.open_calls(), 0U);
}

}  // namespace
}  // namespace kinglet
