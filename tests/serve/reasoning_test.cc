// Forests for clients: merged answers, traces, what is refused, clients that leave, upstreams that die.
#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/proxy_server.h"
#include "tests/support/test_server.h"

#include "kinglet/llm/endpoint_model.h"
#include "kinglet/llm/mock_server.h"
#include "kinglet/llm/scripted_model.h"
#include "kinglet/methods/fot/simulated_model.h"
#include "kinglet/serve/reasoning_proxy.h"
#include "kinglet/serve/run_server.h"

namespace kinglet {
namespace {

using Json = nlohmann::json;
using testing_support::ask;
using testing_support::http_request;
using testing_support::HttpReply;
using testing_support::post;
using testing_support::ProxyServer;
using testing_support::ScriptedEngine;
using testing_support::Socket;
using testing_support::TestServer;

constexpr const char* kChatPath = "/v1/chat/completions";

template <typename Condition>
bool happens_soon(const Condition& condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

Json forest_request(const std::string& text, Json reasoning, Json more = Json::object()) {
  Json body = {{"messages", {{{"role", "user"}, {"content", text}}}}, {"seed", 1}};
  if (!reasoning.is_null()) body["reasoning"] = std::move(reasoning);
  body.update(more);
  return body;
}

// Says what it is told; remembers what it was asked.
struct Oracle {
  explicit Oracle(ScriptedModel::Script script)
      : model(
            [this, script = std::move(script)](const ChatRequest& request) {
              asked.push_back(request);
              return script(request);
            },
            ScriptedModel::Options{.name = "oracle"}) {}
  std::vector<ChatRequest> asked;  // read it when all is over
  ScriptedModel model;
};

ChatReply three_of_four(const ChatRequest& request) {  // three say 7, others 8
  static const std::vector<const char*> kSaidByTrees = {"I add. The answer is 7", "The answer is 8",
                                                        "Well. The answer is 7", "So the answer is 7"};
  const std::size_t tree = request.slot.at(request.slot.find('/') + 1) - '0';
  ChatReply reply = reply_saying(kSaidByTrees.at(tree % kSaidByTrees.size()));
  reply.usage = {.prompt = 10, .cached = 4, .completion = 5};
  return reply;
}

TEST(ReasoningProxy, MergesTheTreesIntoOneReply) {
  Oracle oracle(three_of_four);
  {
    const ProxyServer proxy(oracle.model);
    const HttpReply reply = proxy.chat(
        forest_request("3 and 4?", {{"trees", 4}, {"stop", "none"}}, {{"model", "fot-oracle"}, {"temperature", 0.5}}));
    ASSERT_EQ(reply.status, 200) << reply.body;
    const Json body = reply.json();
    EXPECT_EQ(body["model"], "fot-oracle");
    EXPECT_EQ(body["object"], "chat.completion");
    ASSERT_EQ(body["choices"].size(), 1U);
    EXPECT_EQ(body["choices"][0]["message"]["content"], "I add. The answer is 7");
    EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
    EXPECT_EQ(body["usage"]["prompt_tokens"], 40);
    EXPECT_EQ(body["usage"]["completion_tokens"], 20);
    EXPECT_EQ(body["usage"]["total_tokens"], 60);
    EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 16);
    EXPECT_FALSE(body.contains("reasoning"));  // it was not asked for
    EXPECT_EQ(proxy.service.open_sequences(), 0);
  }
  ASSERT_EQ(oracle.asked.size(), 4U);
  EXPECT_EQ(oracle.asked[0].temperature, 0.5);
  EXPECT_NE(oracle.asked[0].messages.back().content.find("3 and 4?"), std::string::npos);
}

TEST(ReasoningProxy, GivesTheTraceWhenAsked) {
  Oracle oracle(three_of_four);
  const ProxyServer proxy(oracle.model);
  const Json body = proxy.chat(forest_request("3 and 4?", {{"trees", 4}, {"stop", "none"}, {"trace", true}})).json();
  const Json& trace = body["reasoning"];
  EXPECT_EQ(trace["label"], "7");
  EXPECT_EQ(trace["decided_by"], "vote");
  EXPECT_EQ(trace["votes"][0]["votes"], 3);
  ASSERT_EQ(trace["trees"].size(), 4U);
  EXPECT_EQ(trace["trees"][1]["nodes"][0]["text"], "The answer is 8");
  EXPECT_EQ(trace["settings"]["trees"], 4);
  EXPECT_EQ(trace["cost"]["calls"], 4);
}

TEST(ReasoningProxy, StreamsTheTraceBeforeTheAnswer) {
  fot::SimulatedModel dice;
  ScriptedModel model(dice, ScriptedModel::Options{.name = "dice", .replies_per_poll = 3});
  const ProxyServer proxy(model);
  const Json body = forest_request("4 9 10 13", {{"task", "game24"}, {"trees", 8}, {"trace", true}},
                                   {{"stream", true}, {"stream_options", {{"include_usage", true}}}});
  const HttpReply reply = proxy.chat(body);
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.field("Content-Type"), "text/event-stream");
  EXPECT_TRUE(reply.complete);
  std::map<std::string, int> kinds;
  std::string content;
  Json usage, end;
  bool answer_begun = false;
  const auto events = reply.events();
  ASSERT_EQ(events.back(), "[DONE]");
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    const Json event = Json::parse(events[i]);
    EXPECT_EQ(event["object"], "chat.completion.chunk");
    if (event.contains("reasoning")) {
      EXPECT_FALSE(answer_begun);
      ++kinds[event["reasoning"]["event"]];
      if (event["reasoning"]["event"] == "end") end = event["reasoning"];
    }
    if (!event["choices"].empty() && event["choices"][0]["delta"].contains("content")) {
      content += event["choices"][0]["delta"]["content"];
      answer_begun = !content.empty();
    }
    if (event.contains("usage") && !event["usage"].is_null()) usage = event["usage"];
  }
  EXPECT_GE(kinds["tree"], 1);
  EXPECT_GT(kinds["thought"], 5);
  EXPECT_GT(kinds["writing"], 1);
  EXPECT_EQ(kinds["end"], 1);
  EXPECT_FALSE(content.empty());
  EXPECT_EQ(usage["completion_tokens"], end["completion_tokens"]);
  EXPECT_GT(usage["prompt_tokens"], 0);
}

TEST(ReasoningProxy, StreamsWithoutATraceLikeAnyModel) {
  Oracle oracle(three_of_four);
  const ProxyServer proxy(oracle.model);
  const HttpReply reply = proxy.chat(forest_request("3 and 4?", {{"trees", 3}}, {{"stream", true}}));
  std::string content;
  const auto events = reply.events();
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    const Json event = Json::parse(events[i]);
    ASSERT_EQ(event["choices"].size(), 1U);  // clients take the first one without looking
    content += event["choices"][0]["delta"].value("content", "");
  }
  EXPECT_EQ(content, "I add. The answer is 7");
}

TEST(ReasoningProxy, WhatWasSaidBeforeBelongsToTheQuestion) {
  Oracle oracle(three_of_four);
  {
    const ProxyServer proxy(oracle.model);
    Json body = forest_request("", true);
    body["messages"] = {{{"role", "system"}, {"content", "Be brief."}},
                        {{"role", "user"}, {"content", "I have 3."}},
                        {{"role", "assistant"}, {"content", "Fine."}},
                        {{"role", "user"}, {"content", "And 4 more?"}}};
    EXPECT_EQ(proxy.chat(body).status, 200);
    body["messages"].push_back({{"role", "assistant"}, {"content", "7"}});
    EXPECT_EQ(proxy.chat(body).json()["error"]["param"], "messages");
  }
  EXPECT_NE(oracle.asked.at(0).messages.back().content.find(
                "Be brief.\n\nUser: I have 3.\nAssistant: Fine.\nUser: And 4 more?"),
            std::string::npos);
}

TEST(ReasoningProxy, RefusesWhatItCannotDo) {
  Oracle oracle(three_of_four);
  ApiOptions api;
  api.reasoning.trees = 16;
  const ProxyServer proxy(oracle.model, api);
  struct Case {
    Json reasoning, more;
    int status;
    const char *param, *words;
  };
  const Json none = Json::object();
  const std::vector<Case> cases = {
      {{{"tree", 4}}, none, 400, "reasoning.tree", "did you mean 'trees'?"},
      {{{"effort", "high"}}, none, 400, "reasoning.effort", "known are"},
      {{{"trees", 17}}, none, 400, "reasoning.trees", "from 1 to 16"},
      {{{"trees", "many"}}, none, 400, "reasoning.trees", "expected an integer"},
      {{{"base", "forest"}}, none, 400, "reasoning.base", "mctsr"},
      {{{"task", "chess"}}, none, 400, "reasoning.task", "game24"},
      {{{"stop", "beta:2"}}, none, 400, "reasoning.stop", ""},
      {{{"decision", "dice"}}, none, 400, "reasoning.decision", "cged"},
      {{{"step_rules", "some"}}, none, 400, "reasoning.step_rules", "exact"},
      {{{"tau", 0}}, none, 400, "reasoning.tau", ""},
      {{{"budget_calls", 1'000'000}}, none, 400, "reasoning.budget_calls", ""},
      {{{"trace", 1}}, none, 400, "reasoning.trace", ""},
      {"deeply", none, 400, "reasoning", "an object"},
      {none, {{"n", 2}}, 400, "n", "one merged answer"},
      {none, {{"logprobs", true}}, 400, "logprobs", ""},
      {none, {{"max_tokens", 0}}, 400, "max_tokens", ""},
      {none, {{"model", "gpt"}}, 404, "model", "fot-oracle"},
      {nullptr, {{"model", "oracle"}}, 400, "model", "fot-oracle"},
      {{{"task", "game24"}}, none, 400, "messages", ""},  // "3 and 4?" is no puzzle
  };
  for (const Case& one : cases) {
    const HttpReply reply = proxy.chat(forest_request("3 and 4?", one.reasoning, one.more));
    EXPECT_EQ(reply.status, one.status) << one.reasoning << one.more << reply.body;
    ASSERT_TRUE(reply.json().contains("error")) << reply.body;
    EXPECT_EQ(reply.json()["error"]["param"], one.param) << reply.body;
    EXPECT_NE(reply.body.find(one.words), std::string::npos) << reply.body;
  }
  EXPECT_EQ(post(proxy.port(), "/v1/completions", {{"prompt", "a"}}).status, 404);
  EXPECT_TRUE(oracle.asked.empty());
  const Json models = ask(proxy.port(), "GET", "/v1/models").json();
  ASSERT_EQ(models["data"].size(), 1U);
  EXPECT_EQ(models["data"][0]["id"], "fot-oracle");
  EXPECT_EQ(ask(proxy.port(), "GET", "/v1/models/fot-oracle").status, 200);
  EXPECT_EQ(ask(proxy.port(), "GET", "/v1/models/oracle").status, 404);
}

// An upstream that never ends an answer, and counts who hangs up.
MockOptions endless() {
  MockOptions options;
  options.script = [](const MockRequest&, MockPlan plan) {
    plan.tokens.assign(5000, " hm");
    plan.token_delay = std::chrono::milliseconds(10);
    return plan;
  };
  return options;
}

EndpointOptions short_tempered(const std::string& url) {
  EndpointOptions options;
  options.base_url = url;
  options.model = "up";
  options.max_retries = 1;
  options.backoff.base = std::chrono::milliseconds(1);
  options.unreachable_limit = std::chrono::milliseconds(300);
  return options;
}

TEST(ReasoningProxy, AClientThatLeavesStopsTheForest) {
  MockServer upstream(endless());
  HttpClient client;
  EndpointModel model(client, short_tempered(upstream.base_url()));
  const ProxyServer proxy(model);
  for (const bool stream : {true, false}) {
    const std::uint64_t before = upstream.statistics().accepted, left_before = upstream.statistics().given_up;
    Socket socket(proxy.port());
    socket.send(http_request(
        "POST", kChatPath,
        forest_request("Why?", {{"trees", 4}, {"width", 4}, {"trace", true}}, {{"stream", stream}}).dump()));
    ASSERT_TRUE(happens_soon([&] { return upstream.statistics().accepted == before + 4; }));
    EXPECT_EQ(proxy.service.open_sequences(), 1);
    socket.close();
    EXPECT_TRUE(happens_soon([&] { return proxy.service.open_sequences() == 0; }));
    EXPECT_TRUE(happens_soon([&] { return upstream.statistics().given_up == left_before + 4; }));
  }
  const std::uint64_t accepted = upstream.statistics().accepted;
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(upstream.statistics().accepted, accepted);  // nothing was asked behind the end
}

TEST(ReasoningProxy, AnUpstreamThatDiesIsSaid) {
  auto upstream = std::make_unique<MockServer>(endless());
  HttpClient client;
  EndpointModel model(client, short_tempered(upstream->base_url()));
  const ProxyServer proxy(model);
  std::thread killer([&] {
    happens_soon([&] { return upstream->statistics().accepted >= 2; });
    upstream.reset();
  });
  const HttpReply dying = proxy.chat(forest_request("Why?", {{"trees", 2}, {"width", 2}}));
  killer.join();
  EXPECT_EQ(dying.status, 502) << dying.body;
  EXPECT_EQ(dying.json()["error"]["code"], "upstream_failed");
  EXPECT_EQ(dying.json()["error"]["type"], "server_error");
  const HttpReply dead = proxy.chat(forest_request("Why?", {{"trees", 2}}, {{"stream", true}}));
  EXPECT_EQ(dead.status, 200);  // the stream had begun
  EXPECT_NE(dead.events().back().find("could not answer"), std::string::npos) << dead.body;
  EXPECT_EQ(ask(proxy.port(), "GET", "/health").status, 200);
}

TEST(ReasoningProxy, AWrongKeyOfTheUpstreamIsNoMistakeOfTheClient) {
  ScriptedModel model([](const ChatRequest&) {
    ChatReply reply;
    reply.status = ReplyStatus::kRefused;
    reply.error = "401: wrong key";
    reply.http_status = 401;
    return reply;
  });
  const ProxyServer proxy(model);
  const HttpReply reply = proxy.chat(forest_request("Why?", {{"trees", 3}}));
  EXPECT_EQ(reply.status, 502);
  EXPECT_NE(reply.body.find("takes no calls"), std::string::npos) << reply.body;
}

TEST(ReasoningProxy, TooManyForestsAreRefusedAndTheEndIsOrderly) {
  MockServer upstream(endless());
  HttpClient client;
  EndpointModel model(client, short_tempered(upstream.base_url()));
  ApiOptions api;
  api.reasoning.forests = 1;
  ProxyServer proxy(model, api);
  std::thread first([&] {
    const HttpReply reply = proxy.chat(forest_request("Why?", {{"trees", 2}}));
    EXPECT_EQ(reply.status, 503) << reply.body;  // broken off below
  });
  ASSERT_TRUE(happens_soon([&] { return proxy.service.open_sequences() == 1; }));
  const HttpReply second = proxy.chat(forest_request("And why?", true));
  EXPECT_EQ(second.status, 429);
  EXPECT_EQ(second.field("Retry-After"), "1");
  EXPECT_FALSE(proxy.service.drain(std::chrono::milliseconds(50)));
  proxy.service.cancel_all();
  EXPECT_TRUE(proxy.service.drain(std::chrono::milliseconds(5000)));
  first.join();
  EXPECT_EQ(proxy.chat(forest_request("Now?", true)).status, 503);
}

TEST(ReasoningInTheServer, AsksTheServedModel) {
  ScriptedEngine::Options options;
  options.next = testing_support::saying("Let me see. The answer is 12");
  const TestServer server(options);
  const HttpReply reply = server.chat(forest_request("5 and 7?", {{"trees", 3}, {"trace", true}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json body = reply.json();
  EXPECT_EQ(body["model"], "fot-scripted");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "Let me see. The answer is 12");
  EXPECT_EQ(body["reasoning"]["label"], "12");
  EXPECT_EQ(body["usage"]["completion_tokens"], body["reasoning"]["cost"]["completion_tokens"]);
  EXPECT_EQ(server.chat(forest_request("5 and 7?", nullptr, {{"model", "fot-scripted"}})).status, 200);
  EXPECT_EQ(server.chat(forest_request("5 and 7?", nullptr, {{"model", "fot-other"}})).status, 404);
  const Json plain = server.chat(forest_request("5 and 7?", false)).json();
  EXPECT_EQ(plain["model"], "scripted");
  const Json models = ask(server.port(), "GET", "/v1/models").json();
  ASSERT_EQ(models["data"].size(), 2U);
  EXPECT_EQ(models["data"][0]["id"], "scripted");
  EXPECT_EQ(models["data"][1]["id"], "fot-scripted");
  EXPECT_EQ(server.metric("kinglet_forests_total"), 2);
  EXPECT_GE(server.metric("kinglet_forest_calls_total"), 4);
  EXPECT_EQ(server.metric("kinglet_forests_open"), 0);
}

TEST(ReasoningInTheServer, LimitsAndWhatItNeeds) {
  ApiOptions api;
  api.max_tokens = 8;
  const TestServer limited({}, api);
  EXPECT_EQ(limited.chat(forest_request("Why?", true, {{"max_tokens", 9}})).status, 400);
  api.reasoning.forests = 0;
  const TestServer without({}, api);
  EXPECT_EQ(without.chat(forest_request("Why?", true)).json()["error"]["param"], "reasoning");
  EXPECT_EQ(ask(without.port(), "GET", "/v1/models").json()["data"].size(), 1U);
  const TestServer no_template({}, {}, {}, false);
  EXPECT_EQ(no_template.chat(forest_request("Why?", true)).json()["error"]["code"], "no_chat_template");
}

TEST(ReasoningInTheServer, AClientThatLeavesStopsItsSequences) {
  ScriptedEngine::Options options;
  options.step = std::chrono::milliseconds(5);
  options.positions = 100'000;
  options.next = [](const TokenRequest&, std::int64_t) { return TokenId{65}; };
  const TestServer server(options);
  Socket socket(server.port());
  socket.send(http_request("POST", kChatPath, forest_request("Why?", {{"trees", 3}, {"width", 3}}).dump()));
  ASSERT_TRUE(happens_soon([&] { return server.engine.state().running == 3; }));
  socket.close();
  EXPECT_TRUE(happens_soon([&] { return server.service.open_sequences() == 0; }));
  EXPECT_TRUE(happens_soon([&] { return server.engine.state().running == 0; }));
}

}  // namespace
}  // namespace kinglet
