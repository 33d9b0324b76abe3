#include "kinglet/llm/reply_cache.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/llm/mock_endpoint.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/llm/scripted_model.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::asking;
using testing_support::TemporaryFolder;

TEST(CachedModel, AsksTheInnerModelOnce) {
  const TemporaryFolder folder;
  int asked = 0;
  ScriptedModel inner([&](const ChatRequest& request) {
    ++asked;
    return reply_saying("re: " + request.messages[0].content);
  });
  {
    ReplyCache cache(folder / "cache.db");
    CachedModel model(cache, inner);
    EXPECT_EQ(complete(model, asking("a")).text, "re: a");
    const ChatReply again = complete(model, asking("a"));
    EXPECT_EQ(again.text, "re: a");
    EXPECT_TRUE(again.replayed);
    ChatRequest second_draw = asking("a");
    second_draw.sample = 1;
    EXPECT_FALSE(complete(model, second_draw).replayed);
    ChatRequest warmer = asking("a");
    warmer.temperature = 1;
    EXPECT_FALSE(complete(model, warmer).replayed);
    EXPECT_EQ(asked, 3);
  }
  ReplyCache cache(folder / "cache.db");  // another process, later
  EXPECT_EQ(cache.size(), 3);
  CachedModel replay(cache, "scripted");
  EXPECT_EQ(complete(replay, asking("a")).text, "re: a");
  const ChatReply missing = complete(replay, asking("b"));
  EXPECT_EQ(missing.status, ReplyStatus::kFailed);
  EXPECT_THAT(missing.error, HasSubstr("not recorded"));
}

TEST(CachedModel, KeepsNoFailures) {
  const TemporaryFolder folder;
  ReplyCache cache(folder / "cache.db");
  ScriptedModel inner([](const ChatRequest&) {
    ChatReply reply;
    reply.status = ReplyStatus::kFailed;
    return reply;
  });
  CachedModel model(cache, inner);
  EXPECT_FALSE(complete(model, asking("a")).done());
  EXPECT_FALSE(complete(model, asking("a")).replayed);
  EXPECT_EQ(cache.size(), 0);
}

TEST(CachedModel, CancelsKnownAndForwardedCalls) {
  const TemporaryFolder folder;
  ReplyCache cache(folder / "cache.db");
  ScriptedModel inner = ScriptedModel::saying("x");
  CachedModel model(cache, inner);
  complete(model, asking("known"));
  std::vector<ReplyStatus> ends;
  for (const char* text : {"known", "new"}) {
    const CallId call = model.submit(
        asking(text), {.on_text = {}, .on_reply = [&](const ChatReply& reply) { ends.push_back(reply.status); }});
    model.cancel(call);
  }
  while (model.poll(std::chrono::milliseconds(1))) {
  }
  EXPECT_THAT(ends, testing::ElementsAre(ReplyStatus::kCancelled, ReplyStatus::kCancelled));
}

TEST(ReplyCache, RefusesOtherFiles) {
  const TemporaryFolder folder;
  std::ofstream(folder / "text") << std::string(5000, 'x');
  EXPECT_THAT(testing_support::refusal([&] { ReplyCache cache(folder / "text"); }), HasSubstr("not a database"));
}

}  // namespace
}  // namespace kinglet
