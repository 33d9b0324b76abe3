#include "kinglet/serve/chat_session.h"

#include <gtest/gtest.h>

#include "tests/support/refusal.h"
#include "tests/support/test_server.h"

namespace kinglet {
namespace {

using testing_support::ScriptedEngine;
using testing_support::TestServer;

bool never() { return false; }

struct Conversation {
  explicit Conversation(ScriptedEngine::Options options) : engine(std::move(options)) {}
  ChatAnswer say(const std::string& text) {
    std::string pieces;
    ChatAnswer answer = session.say(
        text, [&](std::string_view piece) { pieces += piece; }, never);
    EXPECT_EQ(pieces, answer.text);
    return answer;
  }
  ScriptedEngine engine;
  ServedModel model = TestServer::model(true);
  ChatSession session{engine, model, {}};
};

TEST(ChatSession, KeepsWhatWasSaid) {
  std::string seen;
  ScriptedEngine::Options options;
  const auto yes = testing_support::saying("Yes \U0001F600!");
  options.next = [&](const TokenRequest& request, std::int64_t position) {
    if (position == 0) seen = testing_support::small_tokenizer()->decode(request.prompt);
    return yes(request, position);
  };
  Conversation conversation(options);
  conversation.session.set_system("be kind");
  EXPECT_EQ(conversation.say("one").text, "Yes \U0001F600!");
  EXPECT_EQ(conversation.say("two").result.end, SequenceEnd::kEos);
  EXPECT_EQ(seen, "<system>be kind\n<user>one\n<assistant>Yes \U0001F600!\n<user>two\n<assistant>");
  conversation.session.reset();
  conversation.say("three");
  EXPECT_EQ(seen, "<system>be kind\n<user>three\n<assistant>");
  conversation.session.set_system("");
  conversation.say("four");
  EXPECT_EQ(seen, "<user>four\n<assistant>");
}

TEST(ChatSession, StopsAnAnswerAndKeepsItsBeginning) {
  ScriptedEngine::Options options;
  options.next = testing_support::saying(std::string(400, 'z'));
  options.step = std::chrono::milliseconds(2);
  Conversation conversation(options);
  std::string text;
  const ChatAnswer answer = conversation.session.say(
      "go", [&](std::string_view piece) { text += piece; }, [&] { return text.size() > 5; });
  EXPECT_EQ(answer.text, text);
  EXPECT_LT(text.size(), 100U);
  EXPECT_EQ(conversation.session.messages().back()["content"], text);
}

TEST(ChatSession, ErrorsLeaveTheConversationAsItWas) {
  ScriptedEngine::Options options;
  options.fails_after = 1;
  Conversation conversation(options);
  EXPECT_THROW(conversation.say("hi"), Error);
  EXPECT_TRUE(conversation.session.messages().empty());
  const std::string message = testing_support::refusal([&] { conversation.say(std::string(600, 'x')); });
  EXPECT_NE(message.find("/reset"), std::string::npos) << message;
  EXPECT_TRUE(conversation.session.messages().empty());
}

TEST(ChatSession, NeedsATemplate) {
  ScriptedEngine engine;
  const ServedModel model = TestServer::model(false);
  const std::string message = testing_support::refusal([&] { ChatSession(engine, model, {}); });
  EXPECT_NE(message.find("--chat-template"), std::string::npos) << message;
}

}  // namespace
}  // namespace kinglet
