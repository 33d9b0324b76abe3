// The endpoints for text: what the official API gives for the same request.
#include <gtest/gtest.h>

#include "tests/support/test_server.h"

#include "kinglet/text/json_text.h"

namespace kinglet {
namespace {

using testing_support::HttpReply;
using testing_support::ScriptedEngine;
using testing_support::TestServer;

ScriptedEngine::Options saying(const std::string& text) {
  ScriptedEngine::Options options;
  options.next = testing_support::saying(text);
  return options;
}

Json chat_body(const std::string& text, Json more = Json::object()) {
  more["messages"] = {{{"role", "user"}, {"content", text}}};
  return more;
}

std::vector<Json> chunks_of(const HttpReply& reply) {
  std::vector<Json> chunks;
  for (const std::string& event : reply.events()) {
    if (event != "[DONE]") chunks.push_back(Json::parse(event));
  }
  return chunks;
}

TEST(ChatCompletions, AnswersAsAWhole) {
  const TestServer server(saying("Hello there."));
  const HttpReply reply = server.chat(chat_body("hi", {{"model", "scripted"}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.field("Content-Type"), "application/json");
  const Json answer = reply.json();
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_TRUE(answer["id"].get<std::string>().starts_with("chatcmpl-"));
  EXPECT_EQ(answer["model"], "scripted");
  EXPECT_TRUE(answer["system_fingerprint"].get<std::string>().starts_with("fp_"));
  ASSERT_EQ(answer["choices"].size(), 1U);
  const Json& choice = answer["choices"][0];
  EXPECT_EQ(choice["index"], 0);
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_EQ(choice["message"]["content"], "Hello there.");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_TRUE(choice["logprobs"].is_null());
  const auto prompt = testing_support::small_tokenizer()->encode("<user>hi\n<assistant>", false).size();
  EXPECT_EQ(answer["usage"]["prompt_tokens"], prompt);
  const auto tokens = testing_support::small_tokenizer()->encode("Hello there.", false).size() + 1;
  EXPECT_EQ(answer["usage"]["completion_tokens"], tokens);
  EXPECT_EQ(answer["usage"]["total_tokens"], prompt + tokens);
  EXPECT_EQ(answer["usage"]["prompt_tokens_details"]["cached_tokens"], prompt / 2);
}

TEST(ChatCompletions, StreamsRoleTextEndUsageDone) {
  const TestServer server(saying("Hello there."));
  const HttpReply reply =
      server.chat(chat_body("hi", {{"stream", true}, {"stream_options", {{"include_usage", true}}}}));
  ASSERT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.complete);
  EXPECT_EQ(reply.field("Content-Type"), "text/event-stream");
  EXPECT_EQ(reply.events().back(), "[DONE]");
  const std::vector<Json> chunks = chunks_of(reply);
  ASSERT_GE(chunks.size(), 4U);
  EXPECT_EQ(chunks[0]["choices"][0]["delta"], Json({{"role", "assistant"}, {"content", ""}}));
  std::string text;
  for (std::size_t i = 0; i + 1 < chunks.size(); ++i) {
    EXPECT_EQ(chunks[i]["object"], "chat.completion.chunk");
    EXPECT_EQ(chunks[i]["id"], chunks[0]["id"]);
    EXPECT_TRUE(chunks[i].contains("usage") && chunks[i]["usage"].is_null());
    text += chunks[i]["choices"][0]["delta"].value("content", "");
    const bool last = i + 2 == chunks.size();
    EXPECT_EQ(chunks[i]["choices"][0]["finish_reason"], last ? Json("stop") : Json());
  }
  EXPECT_EQ(text, "Hello there.");
  EXPECT_TRUE(chunks.back()["choices"].empty());
  EXPECT_GT(chunks.back()["usage"]["completion_tokens"], 3);
}

TEST(ChatCompletions, WithoutUsageUnlessAsked) {
  const TestServer server(saying("Hi"));
  for (const Json& chunk : chunks_of(server.chat(chat_body("hi", {{"stream", true}})))) {
    EXPECT_FALSE(chunk.contains("usage"));
  }
}

TEST(ChatCompletions, LogProbabilitiesAlignWithText) {
  const std::string text = "A caf\u00e9 \U0001F600 there";
  const TestServer server(saying(text));
  for (const bool stream : {false, true}) {
    const HttpReply reply = server.chat(chat_body("hi", {{"logprobs", true}, {"top_logprobs", 3}, {"stream", stream}}));
    ASSERT_EQ(reply.status, 200) << reply.body;
    Json entries = Json::array();
    std::string shown, bytes;
    if (stream) {
      for (const Json& chunk : chunks_of(reply)) {
        const Json& choice = chunk["choices"][0];
        shown += choice["delta"].value("content", "");
        if (choice["logprobs"].is_null()) continue;
        for (const Json& entry : choice["logprobs"]["content"]) entries.push_back(entry);
      }
    } else {
      shown = reply.json()["choices"][0]["message"]["content"];
      entries = reply.json()["choices"][0]["logprobs"]["content"];
    }
    EXPECT_EQ(shown, text);
    for (const Json& entry : entries) {
      for (const int byte : entry["bytes"]) bytes += static_cast<char>(byte);
      EXPECT_LT(entry["logprob"], 0.0);
      ASSERT_EQ(entry["top_logprobs"].size(), 3U);
      EXPECT_EQ(entry["top_logprobs"][0]["token"], entry["token"]);
      EXPECT_EQ(entry["top_logprobs"][0]["logprob"], entry["logprob"]);
    }
    EXPECT_EQ(bytes, text);
    EXPECT_EQ(entries.size(), testing_support::small_tokenizer()->encode(text, false).size());
  }
}

TEST(ChatCompletions, NeverSendsHalfACharacter) {
  const std::string text = "\U0001F600\u4f60\u597d";
  const TestServer server(saying(text));
  std::string shown;
  for (const Json& chunk : chunks_of(server.chat(chat_body("hi", {{"stream", true}})))) {
    const std::string piece = chunk["choices"][0]["delta"].value("content", "");
    EXPECT_EQ(piece.find("\uFFFD"), std::string::npos);
    shown += piece;
  }
  EXPECT_EQ(shown, text);
}

TEST(ChatCompletions, StopTextAcrossTokens) {
  const TestServer server(saying("one two three four"));
  for (const bool stream : {false, true}) {
    const HttpReply reply =
        server.chat(chat_body("hi", {{"stop", {"o thr", "nowhere"}}, {"stream", stream}, {"logprobs", true}}));
    std::string shown, reason;
    Json entries = Json::array();
    if (stream) {
      for (const Json& chunk : chunks_of(reply)) {
        const Json& choice = chunk["choices"][0];
        shown += choice["delta"].value("content", "");
        if (!choice["finish_reason"].is_null()) reason = choice["finish_reason"];
        if (choice["logprobs"].is_null()) continue;
        for (const Json& entry : choice["logprobs"]["content"]) entries.push_back(entry);
      }
    } else {
      shown = reply.json()["choices"][0]["message"]["content"];
      reason = reply.json()["choices"][0]["finish_reason"];
      entries = reply.json()["choices"][0]["logprobs"]["content"];
    }
    EXPECT_EQ(shown, "one tw");
    EXPECT_EQ(reason, "stop");
    std::string tokens;
    for (const Json& entry : entries) tokens += entry["token"];
    EXPECT_TRUE(tokens.starts_with("one tw")) << tokens;
    EXPECT_LT(tokens.size(), std::string("one two thr").size()) << tokens;
  }
}

TEST(ChatCompletions, LengthEndsWithLength) {
  const TestServer server(saying("one two three four"));
  const Json answer = server.chat(chat_body("hi", {{"max_completion_tokens", 2}, {"max_tokens", 5}})).json();
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(answer["usage"]["completion_tokens"], 2);
}

TEST(ChatCompletions, ChoicesAndSeed) {
  ScriptedEngine::Options options;
  options.next = [](const TokenRequest& request, std::int64_t position) {
    return static_cast<TokenId>(
        (request.choice.seed * 31 + request.sequence * 7 + static_cast<std::uint64_t>(position)) % 90);
  };
  const TestServer server(options);
  const auto texts = [&](const Json& more) {
    std::vector<std::string> all;
    const Json answer = server.chat(chat_body("hi", more)).json();
    for (const Json& choice : answer["choices"]) all.push_back(choice["message"]["content"]);
    return all;
  };
  const Json asked = {{"n", 3}, {"seed", 5}, {"max_tokens", 6}};
  const auto first = texts(asked);
  ASSERT_EQ(first.size(), 3U);
  EXPECT_NE(first[0], first[1]);
  EXPECT_NE(first[1], first[2]);
  EXPECT_EQ(texts(asked), first);
  EXPECT_NE(texts({{"max_tokens", 6}}), texts({{"max_tokens", 6}}));  // without a seed there is a new one each time
  const Json answer = server.chat(chat_body("hi", asked)).json();
  EXPECT_EQ(answer["usage"]["completion_tokens"], 18);
  EXPECT_EQ(answer["usage"]["prompt_tokens"],
            testing_support::small_tokenizer()->encode("<user>hi\n<assistant>", false).size());
}

TEST(ChatCompletions, ContentPartsAndRoles) {
  ScriptedEngine::Options options;
  std::string seen;
  options.next = [&seen](const TokenRequest& request, std::int64_t) {
    seen = testing_support::small_tokenizer()->decode(request.prompt);
    return testing_support::kTestEnd;
  };
  const TestServer server(options);
  const Json parts = {{{"type", "text"}, {"text", "one "}}, {{"type", "text"}, {"text", "two"}}};
  const HttpReply reply = server.chat({{"messages",
                                        {{{"role", "developer"}, {"content", "be kind"}},
                                         {{"role", "user"}, {"content", parts}},
                                         {{"role", "assistant"}, {"content", nullptr}}}}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(seen, "<system>be kind\n<user>one two\n<assistant>\n<assistant>");
  EXPECT_EQ(reply.json()["choices"][0]["message"]["content"], "");
}

TEST(ChatCompletions, NeedsATemplate) {
  const TestServer server({}, {}, {}, false);
  const HttpReply reply = server.chat(chat_body("hi"));
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.json()["error"]["code"], "no_chat_template");
  EXPECT_NE(reply.json()["error"]["message"].get<std::string>().find("--chat-template"), std::string::npos);
}

TEST(Completions, ContinuesTexts) {
  const TestServer server;
  const HttpReply reply = server.text({{"prompt", "a"}, {"max_tokens", 5}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json()["object"], "text_completion");
  EXPECT_EQ(reply.json()["choices"][0]["text"], "bcdef");
  EXPECT_EQ(reply.json()["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(server.text({{"prompt", "a"}}).json()["usage"]["completion_tokens"], 16);  // the original's default
}

TEST(Completions, AllKindsOfPrompts) {
  const TestServer server;
  const auto texts = [&](const Json& prompt, bool echo) {
    std::vector<std::string> all;
    const Json answer = server.text({{"prompt", prompt}, {"max_tokens", 2}, {"echo", echo}}).json();
    for (const Json& choice : answer["choices"]) all.push_back(choice["text"]);
    return all;
  };
  using Texts = std::vector<std::string>;
  const TokenId a = 'a' - '!';
  EXPECT_EQ(texts("a", false), Texts({"bc"}));
  EXPECT_EQ(texts("xa", true), Texts({"xabc"}));
  EXPECT_EQ(texts({"a", "k"}, false), Texts({"bc", "lm"}));
  EXPECT_EQ(texts({"a", "k"}, true), Texts({"abc", "klm"}));
  EXPECT_EQ(texts(Json::array({a}), true), Texts({"abc"}));
  EXPECT_EQ(texts(Json::array({Json::array({a}), Json::array({a + 1, a + 2})}), true), Texts({"abc", "bcde"}));
  const Json nothing_new = server.text({{"prompt", "ab"}, {"max_tokens", 0}, {"echo", true}}).json();
  EXPECT_EQ(nothing_new["choices"][0]["text"], "ab");
  EXPECT_EQ(nothing_new["usage"]["completion_tokens"], 0);
  EXPECT_EQ(nothing_new["usage"]["prompt_tokens"], 2);
}

TEST(Completions, ChoicesOfSeveralPromptsStandInOrder) {
  const TestServer server;
  const Json answer = server.text({{"prompt", {"a", "k"}}, {"n", 2}, {"max_tokens", 1}}).json();
  ASSERT_EQ(answer["choices"].size(), 4U);
  const std::vector<std::string> wanted = {"b", "b", "l", "l"};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(answer["choices"][i]["index"], i);
    EXPECT_EQ(answer["choices"][i]["text"], wanted[i]);
  }
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 2);
  EXPECT_EQ(answer["usage"]["completion_tokens"], 4);
}

TEST(Completions, LogProbabilitiesOfTheOlderKind) {
  const std::string text = "caf\u00e9 \U0001F600!";
  const TestServer server(saying(text));
  const Json answer = server.text({{"prompt", "x"}, {"logprobs", 2}, {"max_tokens", 40}}).json();
  const Json& entries = answer["choices"][0]["logprobs"];
  const std::size_t count = testing_support::small_tokenizer()->encode(text, false).size();
  for (const char* name : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    ASSERT_EQ(entries[name].size(), count) << name;
  }
  EXPECT_EQ(entries["text_offset"][0], 0);
  EXPECT_EQ(entries["text_offset"][count - 1], 6);  // characters, not bytes
  EXPECT_EQ(entries["tokens"][count - 1], "!");
  EXPECT_EQ(entries["top_logprobs"][0].size(), 2U);
  EXPECT_NE(entries["tokens"].dump().find("bytes:"), std::string::npos);
}

TEST(Completions, StreamOfSeveralChoices) {
  const TestServer server;
  const HttpReply reply = server.text({{"prompt", {"a", "k"}}, {"max_tokens", 3}, {"stream", true}, {"echo", true}});
  std::map<int, std::string> texts;
  int ends = 0;
  for (const Json& chunk : chunks_of(reply)) {
    EXPECT_EQ(chunk["object"], "text_completion");
    const Json& choice = chunk["choices"][0];
    texts[choice["index"]] += choice["text"];
    ends += choice["finish_reason"].is_null() ? 0 : 1;
  }
  EXPECT_EQ(texts, (std::map<int, std::string>{{0, "abcd"}, {1, "klmn"}}));
  EXPECT_EQ(ends, 2);
  EXPECT_EQ(reply.events().back(), "[DONE]");
}

TEST(Completions, SettingsReachTheEngine) {
  ScriptedEngine::Options options;
  TokenRequest seen;
  options.next = [&seen](const TokenRequest& request, std::int64_t) {
    seen = request;
    return testing_support::kTestEnd;
  };
  const TestServer server(options);
  ASSERT_EQ(server
                .text({{"prompt", "a"},
                       {"temperature", 0.5},
                       {"top_p", 0.9},
                       {"top_k", 40},
                       {"min_p", 0.05},
                       {"repetition_penalty", 1.1},
                       {"seed", -3},
                       {"max_tokens", 100000},
                       {"user", "someone"},
                       {"frequency_penalty", 0}})
                .status,
            200);
  EXPECT_EQ(seen.choice.temperature, 0.5);
  EXPECT_EQ(seen.choice.top_p, 0.9);
  EXPECT_EQ(seen.choice.top_k, 40);
  EXPECT_EQ(seen.choice.min_p, 0.05);
  EXPECT_EQ(seen.choice.repetition_penalty, 1.1);
  EXPECT_EQ(seen.choice.seed, static_cast<std::uint64_t>(-3));
  EXPECT_EQ(seen.max_tokens, 511);  // what is left of the positions
  EXPECT_EQ(seen.eos, std::vector<TokenId>{testing_support::kTestEnd});
  EXPECT_EQ(seen.top_log_probabilities, -1);
}

TEST(Completions, FailuresOfTheModelAreTold) {
  ScriptedEngine::Options options;
  options.fails_after = 2;
  const TestServer server(options);
  const HttpReply whole = server.text({{"prompt", "a"}});
  EXPECT_EQ(whole.status, 500);
  EXPECT_EQ(whole.json()["error"]["type"], "server_error");
  const HttpReply stream = server.text({{"prompt", "a"}, {"stream", true}});
  EXPECT_EQ(stream.status, 200);
  EXPECT_TRUE(stream.complete);
  EXPECT_TRUE(Json::parse(stream.events().back()).contains("error"));
}

}  // namespace
}  // namespace kinglet
