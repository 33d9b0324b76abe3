// Around the answers: errors, keys, origins, limits, clients that leave, many at once, the end of the server.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/test_server.h"

#include "kinglet/serve/origin.h"
#include "kinglet/serve/run_server.h"
#include "kinglet/text/json_text.h"

namespace kinglet {
namespace {

using testing_support::ask;
using testing_support::http_request;
using testing_support::HttpReply;
using testing_support::parse_reply;
using testing_support::post;
using testing_support::ScriptedEngine;
using testing_support::Socket;
using testing_support::TestServer;

template <typename Condition>
bool soon(const Condition& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

ScriptedEngine::Options slowly(int milliseconds, std::int64_t parallel = 8) {
  ScriptedEngine::Options options;
  options.step = std::chrono::milliseconds(milliseconds);
  options.parallel = parallel;
  return options;
}

Json user_says(const std::string& text) { return Json::array({{{"role", "user"}, {"content", text}}}); }

TEST(Models, AreListed) {
  const TestServer server;
  const HttpReply list = ask(server.port(), "GET", "/v1/models");
  EXPECT_EQ(list.status, 200);
  EXPECT_EQ(list.json()["object"], "list");
  EXPECT_EQ(list.json()["data"][0]["id"], "scripted");
  EXPECT_EQ(ask(server.port(), "GET", "/v1/models/scripted").json()["object"], "model");
  const HttpReply other = ask(server.port(), "GET", "/v1/models/gpt-4");
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(other.json()["error"]["code"], "model_not_found");
}

TEST(Errors, HaveTheOriginalsShape) {
  const TestServer server;
  struct Case {
    const char* path;
    Json body;
    int status;
    Json param, code;
  };
  const Json hi = user_says("hi");
  const char* chat = "/v1/chat/completions";
  const char* text = "/v1/completions";
  const std::vector<Case> cases = {
      {chat, {{"model", "x"}, {"messages", hi}}, 404, "model", "model_not_found"},
      {chat, Json::object(), 400, "messages", "missing_required_parameter"},
      {chat, Json::array(), 400, nullptr, "invalid_type"},
      {chat, {{"messages", "hi"}}, 400, "messages", "invalid_type"},
      {chat, {{"messages", Json::array()}}, 400, "messages", "invalid_value"},
      {chat, {{"messages", {1}}}, 400, "messages[0]", "invalid_type"},
      {chat, {{"messages", {{{"role", "tool"}, {"content", "x"}}}}}, 400, "messages[0].role", "invalid_value"},
      {chat, {{"messages", {{{"role", "user"}}}}}, 400, "messages[0].content", "missing_required_parameter"},
      {chat,
       {{"messages", {{{"role", "user"}, {"content", {{{"type", "image_url"}}}}}}}},
       400,
       "messages[0].content[0].type",
       "invalid_value"},
      {chat, {{"messages", hi}, {"temperature", 3}}, 400, "temperature", "decimal_out_of_range"},
      {chat, {{"messages", hi}, {"temperature", "hot"}}, 400, "temperature", "invalid_type"},
      {chat, {{"messages", hi}, {"max_tokens", -1}}, 400, "max_tokens", "integer_out_of_range"},
      {chat, {{"messages", hi}, {"max_tokens", 1e300}}, 400, "max_tokens", "integer_out_of_range"},
      {chat, {{"messages", hi}, {"max_tokens", 1.5}}, 400, "max_tokens", "integer_out_of_range"},
      {chat, {{"messages", hi}, {"n", 0}}, 400, "n", "integer_out_of_range"},
      {chat, {{"messages", hi}, {"stop", Json::array({"a", 1})}}, 400, "stop[1]", "invalid_type"},
      {chat, {{"messages", hi}, {"stop", ""}}, 400, "stop", "invalid_value"},
      {chat, {{"messages", hi}, {"top_logprobs", 2}}, 400, "top_logprobs", "invalid_value"},
      {chat, {{"messages", hi}, {"logprobs", true}, {"top_logprobs", 21}}, 400, "top_logprobs", "integer_out_of_range"},
      {chat, {{"messages", hi}, {"stream_options", Json::object()}}, 400, "stream_options", "invalid_value"},
      {chat, {{"messages", hi}, {"presence_penalty", 0.5}}, 400, "presence_penalty", "unsupported_value"},
      {chat, {{"messages", hi}, {"tools", {1}}}, 400, "tools", "unsupported_value"},
      {chat,
       {{"messages", hi}, {"response_format", {{"type", "json_object"}}}},
       400,
       "response_format.type",
       "unsupported_value"},
      {text, Json::object(), 400, "prompt", "missing_required_parameter"},
      {text, {{"prompt", ""}}, 400, "prompt", nullptr},
      {text, {{"prompt", {1, "a"}}}, 400, "prompt[1]", "invalid_value"},
      {text, {{"prompt", {601}}}, 400, "prompt", nullptr},
      {text, {{"prompt", {-1}}}, 400, "prompt[0]", "invalid_value"},
      {text, {{"prompt", "a"}, {"echo", true}, {"logprobs", 1}}, 400, "logprobs", "unsupported_value"},
      {text, {{"prompt", "a"}, {"best_of", 3}}, 400, "best_of", "unsupported_value"},
      {text, {{"prompt", std::string(600, 'x')}}, 400, "prompt", "context_length_exceeded"},
      {text, {{"prompt", std::string(100'000, 'x')}}, 400, "prompt", "context_length_exceeded"},
      {text, {{"prompt", Json(std::vector<int>(512, 1))}}, 400, "prompt", "context_length_exceeded"},
  };
  for (const Case& one : cases) {
    const HttpReply reply = post(server.port(), one.path, one.body);
    EXPECT_EQ(reply.status, one.status) << one.body << reply.body;
    ASSERT_TRUE(reply.json().contains("error")) << reply.body;
    const Json error = reply.json()["error"];
    EXPECT_EQ(error["type"], "invalid_request_error");
    EXPECT_EQ(error["param"], one.param) << one.body;
    EXPECT_EQ(error["code"], one.code) << one.body;
    EXPECT_FALSE(error["message"].get<std::string>().empty());
  }
}

TEST(Errors, OfAddressesAndMethods) {
  const TestServer server;
  EXPECT_EQ(ask(server.port(), "GET", "/v2/models").status, 404);
  EXPECT_EQ(ask(server.port(), "GET", "/../etc/passwd").status, 404);
  const HttpReply wrong = ask(server.port(), "GET", "/v1/chat/completions");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.field("Allow"), "POST, OPTIONS");
  EXPECT_EQ(wrong.json()["error"]["code"], "method_not_supported");
  EXPECT_EQ(ask(server.port(), "DELETE", "/v1/models").status, 405);
}

TEST(Errors, OfHostileBodies) {
  const TestServer server;
  const std::string many_keys = [] {
    std::string text = "{";
    for (int i = 0; i < 200'000; ++i) text += "\"k" + std::to_string(i) + "\":1,";
    return text + "\"prompt\":\"a\"}";
  }();
  for (const std::string& body :
       {std::string("{"), std::string("nonsense"), std::string(1'000'000, '['),
        std::string("{\"prompt\": \"\xff\xfe\"}"), std::string("{\"a\":") + std::string(200, '{'),
        std::string("\0\0\0", 3), std::string("{\"prompt\":\"\\ud800\"}")}) {
    const HttpReply reply = ask(server.port(), "POST", "/v1/completions", body);
    EXPECT_EQ(reply.status, 400) << printable(body.substr(0, 40));
    EXPECT_EQ(reply.json()["error"]["code"], "invalid_json");
  }
  EXPECT_EQ(ask(server.port(), "POST", "/v1/completions", "").status, 400);
  EXPECT_EQ(ask(server.port(), "POST", "/v1/completions", many_keys).status, 200);
}

TEST(Keys, AreAskedFor) {
  ApiOptions api;
  api.api_key = "sk-right";
  const TestServer server({}, api);
  const Json body = {{"prompt", "a"}};
  const HttpReply none = post(server.port(), "/v1/completions", body);
  EXPECT_EQ(none.status, 401);
  EXPECT_EQ(none.field("WWW-Authenticate"), "Bearer");
  for (const char* wrong : {"sk-wrong", "sk-righ", "sk-right2", ""}) {
    const HttpReply reply =
        post(server.port(), "/v1/completions", body, std::string("Authorization: Bearer ") + wrong + "\r\n");
    EXPECT_EQ(reply.status, 401) << wrong;
    EXPECT_EQ(reply.json()["error"]["code"], "invalid_api_key");
    EXPECT_EQ(reply.body.find("right"), std::string::npos);
  }
  EXPECT_EQ(post(server.port(), "/v1/completions", body, "Authorization: Bearer sk-right\r\n").status, 200);
  EXPECT_EQ(ask(server.port(), "GET", "/v1/models").status, 401);
  EXPECT_EQ(ask(server.port(), "GET", "/metrics").status, 401);
  EXPECT_EQ(ask(server.port(), "GET", "/health").status, 200);
  EXPECT_EQ(ask(server.port(), "GET", "/").status, 200);
}

TEST(Origins, OfOwnPages) {
  EXPECT_TRUE(is_own_page("http://localhost:8080", "localhost:8080", true));
  EXPECT_TRUE(is_own_page("http://127.0.0.1:8080", "127.0.0.1:8080", true));
  EXPECT_TRUE(is_own_page("http://[::1]:8080", "[::1]:8080", true));
  EXPECT_FALSE(is_own_page("http://127.0.0.1:3000", "127.0.0.1:8080", true));
  EXPECT_FALSE(is_own_page("https://evil.example", "127.0.0.1:8080", true));
  EXPECT_FALSE(is_own_page("http://evil.example:8080", "evil.example:8080", true));  // a name made to point here
  EXPECT_TRUE(is_own_page("http://box.lan:8080", "box.lan:8080", false));
  EXPECT_FALSE(is_own_page("null", "127.0.0.1:8080", false));
  EXPECT_FALSE(is_own_page("", "", false));
}

TEST(Origins, OfOthersAreRefusedUnlessAllowed) {
  const Json body = {{"prompt", "a"}};
  const std::string page = "Origin: https://chat.example.org\r\n";
  {
    const TestServer server;
    EXPECT_EQ(post(server.port(), "/v1/completions", body, page).status, 403);
    EXPECT_EQ(post(server.port(), "/v1/completions", body, "Origin: http://127.0.0.1\r\n").status, 200);
    const HttpReply preflight = ask(server.port(), "OPTIONS", "/v1/completions", "", page);
    EXPECT_EQ(preflight.field("Access-Control-Allow-Origin"), "");
  }
  ApiOptions api;
  api.allowed_origin = "https://chat.example.org";
  const TestServer server({}, api);
  const HttpReply preflight = ask(server.port(), "OPTIONS", "/v1/completions", "", page);
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.field("Access-Control-Allow-Origin"), "https://chat.example.org");
  EXPECT_NE(preflight.field("Access-Control-Allow-Headers").find("Authorization"), std::string::npos);
  for (const bool stream : {false, true}) {
    const HttpReply reply = post(server.port(), "/v1/completions", {{"prompt", "a"}, {"stream", stream}}, page);
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.field("Access-Control-Allow-Origin"), "https://chat.example.org");
  }
  EXPECT_EQ(post(server.port(), "/v1/completions", body, "Origin: https://other.example\r\n").status, 403);
}

TEST(Limits, OfTokensBodiesAndTheQueue) {
  ApiOptions api;
  api.max_tokens = 10;
  api.max_sequences = 4;
  HttpServerOptions http;
  http.limits.body = 2000;
  const TestServer server(slowly(20, 2), api, http);
  EXPECT_EQ(server.text({{"prompt", "a"}, {"max_tokens", 11}}).json()["error"]["param"], "max_tokens");
  const HttpReply large = server.text({{"prompt", std::string(3000, 'a')}});
  EXPECT_EQ(large.status, 413);
  EXPECT_EQ(large.json()["error"]["type"], "invalid_request_error");
  EXPECT_EQ(server.text({{"prompt", "a"}, {"n", 5}}).status, 400);
  // Without a number of its own, an answer gets what the server allows.
  EXPECT_EQ(server.chat({{"messages", user_says("a")}}).json()["usage"]["completion_tokens"], 10);

  const Socket busy(server.port());
  busy.send(
      http_request("POST", "/v1/completions", R"({"prompt":"a","n":3,"max_tokens":10})", "Connection: close\r\n"));
  ASSERT_TRUE(soon([&] { return server.service.open_sequences() == 3; }));
  const HttpReply refused = server.text({{"prompt", "a"}, {"n", 2}, {"max_tokens", 1}});
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.json()["error"]["code"], "rate_limit_exceeded");
  EXPECT_EQ(refused.field("Retry-After"), "1");
  EXPECT_EQ(server.text({{"prompt", "a"}, {"max_tokens", 1}}).status, 200);
  EXPECT_EQ(parse_reply(busy.receive_all()).status, 200);
  EXPECT_TRUE(soon([&] { return server.service.open_sequences() == 0; }));
}

TEST(Clients, ThatLeaveStopTheirSequences) {
  TestServer server(slowly(5, 2));
  for (const bool stream : {true, false}) {
    const int cancels = server.engine.cancels();
    const std::string body =
        Json({{"prompt", "a"}, {"n", 4}, {"max_tokens", 500}, {"stream", stream}}).dump();  // two of them wait
    Socket socket(server.port());
    socket.send(http_request("POST", "/v1/completions", body));
    ASSERT_TRUE(soon([&] { return server.engine.state().running == 2 && server.engine.state().waiting == 2; }));
    if (stream) {
      EXPECT_NE(socket.receive_until("data: ").find("200 OK"), std::string::npos);
    }
    socket.close();
    EXPECT_TRUE(soon([&] { return server.service.open_sequences() == 0; }));
    EXPECT_EQ(server.engine.cancels() - cancels, 4);
    EXPECT_EQ(server.engine.state().waiting, 0);
  }
  EXPECT_EQ(server.text({{"prompt", "a"}, {"max_tokens", 2}}).json()["choices"][0]["text"], "bc");
  EXPECT_EQ(server.metric("kinglet_sequences_total{end=\"cancelled\"}"), 8);
}

TEST(Clients, ManyAtOnceAllGetTheirOwn) {
  ApiOptions api;
  api.max_sequences = 200;
  const TestServer server(slowly(1, 32), api);
  constexpr int kClients = 96;
  std::vector<Socket> sockets;
  for (int i = 0; i < kClients; ++i) {
    sockets.emplace_back(server.port());
    const Json body = {{"prompt", std::string(1, static_cast<char>('A' + i % 26))},
                       {"max_tokens", 5 + i % 30},
                       {"stream", i % 3 != 0}};
    sockets.back().send(http_request("POST", "/v1/completions", body.dump(), "Connection: close\r\n"));
  }
  for (int i = 0; i < kClients; ++i) {
    const HttpReply reply = parse_reply(sockets[static_cast<std::size_t>(i)].receive_all());
    ASSERT_EQ(reply.status, 200) << i;
    EXPECT_TRUE(reply.complete);
    std::string text, wanted;
    if (i % 3 == 0) {
      text = reply.json()["choices"][0]["text"];
    } else {
      for (const std::string& event : reply.events()) {
        if (event != "[DONE]") text += Json::parse(event)["choices"][0]["text"];
      }
    }
    for (int k = 1; k <= 5 + i % 30; ++k) wanted += static_cast<char>('A' + i % 26 + k);
    EXPECT_EQ(text, wanted);
  }
  EXPECT_TRUE(soon([&] { return server.service.open_sequences() == 0; }));
}

TEST(Metrics, CountWhatHappened) {
  const TestServer server;
  server.text({{"prompt", "a"}, {"max_tokens", 5}});
  server.text({{"prompt", "a"}, {"max_tokens", 7}, {"stream", true}});
  server.text({{"prompt", ""}});
  ask(server.port(), "GET", "/nowhere");
  EXPECT_TRUE(soon([&] { return server.metric("kinglet_sequences_open") == 0; }));
  EXPECT_EQ(server.metric("kinglet_http_requests_total{route=\"/v1/completions\",code=\"200\"}"), 2);
  EXPECT_EQ(server.metric("kinglet_http_requests_total{route=\"/v1/completions\",code=\"400\"}"), 1);
  EXPECT_EQ(server.metric("kinglet_http_requests_total{route=\"other\",code=\"404\"}"), 1);
  EXPECT_EQ(server.metric("kinglet_sequences_total{end=\"length\"}"), 2);
  EXPECT_EQ(server.metric("kinglet_generated_tokens_total"), 12);
  EXPECT_EQ(server.metric("kinglet_prompt_tokens_total"), 2);
  EXPECT_EQ(server.metric("kinglet_time_to_first_token_seconds_count"), 2);
  EXPECT_EQ(server.metric("kinglet_time_per_output_token_seconds_bucket{le=\"+Inf\"}"), 2);
  EXPECT_EQ(server.metric("kinglet_sequence_seconds_count"), 2);
  EXPECT_EQ(server.metric("kinglet_sequences_waiting"), 0);
}

struct RunningServer {
  explicit RunningServer(int step_milliseconds, std::chrono::milliseconds grace) : engine(slowly(step_milliseconds)) {
    settings.http.port = 0;
    settings.grace = grace;
    thread = std::thread([this] {
      run_server(
          engine, TestServer::model(true), settings, [this](const HttpServer& server) { port = server.port(); },
          [this] { return stop.load(); });
      ended = true;
    });
    while (port == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ~RunningServer() {
    stop = true;
    thread.join();
  }
  ScriptedEngine engine;
  ServerSettings settings;
  std::atomic<int> port = 0;
  std::atomic<bool> stop = false, ended = false;
  std::thread thread;
};

TEST(Shutdown, LetsAnswersComeToTheirEnd) {
  RunningServer server(5, std::chrono::seconds(20));
  const Socket busy(server.port), later(server.port);
  busy.send(http_request("POST", "/v1/completions", R"({"prompt":"a","max_tokens":60,"stream":true})"));
  later.send("POST /v1/completions HTTP/1.1\r\nContent-Length: 30\r\n\r\n");
  std::string begin = busy.receive_until("data: ");
  server.stop = true;
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  later.send(R"({"prompt":"a","max_tokens":10})");
  EXPECT_EQ(parse_reply(later.receive_all()).status, 503);
  const HttpReply reply = parse_reply(begin + busy.receive_all());
  EXPECT_TRUE(reply.complete);
  EXPECT_EQ(reply.events().back(), "[DONE]");
  EXPECT_TRUE(soon([&] { return server.ended.load(); }));
}

TEST(Shutdown, BreaksOffWhatTakesTooLong) {
  RunningServer server(5, std::chrono::milliseconds(100));
  const Socket stream(server.port), whole(server.port);
  stream.send(http_request("POST", "/v1/completions", R"({"prompt":"a","max_tokens":500,"stream":true})"));
  whole.send(http_request("POST", "/v1/completions", R"({"prompt":"a","max_tokens":500})"));
  const std::string begin = stream.receive_until("data: ");
  ASSERT_TRUE(soon([&] { return server.engine.state().running == 2; }));
  server.stop = true;
  const HttpReply reply = parse_reply(begin + stream.receive_all());
  EXPECT_TRUE(Json::parse(reply.events().back()).contains("error"));
  EXPECT_EQ(parse_reply(whole.receive_all()).status, 503);
  EXPECT_TRUE(soon([&] { return server.ended.load(); }));
}

}  // namespace
}  // namespace kinglet
