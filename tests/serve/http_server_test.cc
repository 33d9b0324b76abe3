// What clients do to a server: bytes in all orders, slowly, too many, and going away.
#include "kinglet/serve/http_server.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/http_client.h"

namespace kinglet {
namespace {

using testing_support::ask;
using testing_support::http_request;
using testing_support::HttpReply;
using testing_support::parse_reply;
using testing_support::Socket;

template <typename Condition>
bool before_long(const Condition& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

// Says what it was asked.
void echo(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
  if (request.path == "/fails") throw std::runtime_error("on purpose");
  exchange->respond(200, {{"Content-Type", "text/plain"}}, request.method + " " + request.path + " " + request.body);
}

std::pair<HttpFields, std::string> refusal(int, std::string_view message) { return {{}, std::string(message)}; }

HttpServerOptions any_port() {
  HttpServerOptions options;
  options.port = 0;
  return options;
}

HttpReply send_raw(const HttpServer& server, const std::string& bytes) {
  const Socket socket(server.port());
  socket.send(bytes);
  return parse_reply(socket.receive_all());
}

TEST(HttpServer, KeepsConnectionsAndTakesPipelinedRequests) {
  const HttpServer server(any_port(), echo, refusal);
  const Socket socket(server.port());
  socket.send(http_request("POST", "/a", "one") + http_request("GET", "/b") +
              http_request("POST", "/c", "three", "Connection: close\r\n"));
  const std::string all = socket.receive_all();
  const std::size_t first = all.find("POST /a one"), second = all.find("GET /b "), third = all.find("POST /c three");
  EXPECT_TRUE(first < second && second < third && third != std::string::npos) << all;
  EXPECT_TRUE(before_long([&] { return server.open_connections() == 0; }));
}

TEST(HttpServer, TakesBytesOneByOneAndChunks) {
  const HttpServer server(any_port(), echo, refusal);
  const Socket socket(server.port());
  for (const char c :
       "POST /x%20y?q=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
       "3;note=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n") {
    if (c != '\0') socket.send(std::string_view(&c, 1));
  }
  EXPECT_EQ(parse_reply(socket.receive_all()).body, "POST /x y abcde");
}

TEST(HttpServer, HeadAndOldClients) {
  const HttpServer server(any_port(), echo, refusal);
  const HttpReply head = ask(server.port(), "HEAD", "/a");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(head.field("Content-Length"), "8");
  EXPECT_EQ(send_raw(server, "GET /a HTTP/1.0\r\n\r\n").body, "GET /a ");
}

TEST(HttpServer, ContinuesWhenAsked) {
  const HttpServer server(any_port(), echo, refusal);
  const Socket socket(server.port());
  socket.send("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(socket.receive(), "HTTP/1.1 100 Continue\r\n\r\n");
  socket.send("hi");
  EXPECT_EQ(parse_reply(socket.receive_all()).body, "POST /a hi");
}

TEST(HttpServer, RefusesWhatIsNoRequest) {
  HttpServerOptions options = any_port();
  options.limits.body = 100;
  const HttpServer server(options, echo, refusal);
  const std::string fine = "GET / HTTP/1.1\r\n";
  const std::vector<std::pair<std::string, int>> bad = {
      {"hello\r\n\r\n", 400},
      {"\x16\x03\x01\x02\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\n\r\n", 505},
      {"GET http://elsewhere/ HTTP/1.1\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\n\r\n", 400},
      {"GET /a b HTTP/1.1\r\n\r\n", 400},
      {fine + "no colon\r\n\r\n", 400},
      {fine + "Name : value\r\n\r\n", 400},
      {fine + " folded: value\r\n\r\n", 400},
      {fine + std::string("Name: a\0b\r\n\r\n", 13), 400},
      {fine + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
      {fine + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {fine + "Content-Length: -1\r\n\r\n", 400},
      {fine + "Content-Length: 0x10\r\n\r\n", 400},
      {fine + "Content-Length: 99999999999999999999999\r\n\r\n", 413},
      {fine + "Content-Length: 101\r\n\r\n", 413},
      {fine + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {fine + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {fine + "Transfer-Encoding: chunked\r\n\r\n65\r\n", 413},
      {fine + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n", 413},
      {fine + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400},
      {fine + "Expect: a pony\r\nContent-Length: 1\r\n\r\n", 417},
      {fine + "Name: " + std::string(100'000, 'x'), 431},
      {std::string(100'000, 'x'), 431},
  };
  for (const auto& [bytes, status] : bad) {
    const HttpReply reply = send_raw(server, bytes);
    EXPECT_EQ(reply.status, status) << printable(bytes.substr(0, 80));
    EXPECT_EQ(reply.field("Connection"), "close");
  }
  std::string many = fine;
  for (int i = 0; i < 200; ++i) many += "A: b\r\n";
  EXPECT_EQ(send_raw(server, many + "\r\n").status, 431);
  EXPECT_EQ(ask(server.port(), "GET", "/still").status, 200);
}

TEST(HttpServer, AnswersBeforeAHugeBodyHasCome) {
  HttpServerOptions options = any_port();
  options.limits.body = 1000;
  const HttpServer server(options, echo, refusal);
  const Socket socket(server.port());
  socket.send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "1000\r\n" + std::string(4096, 'x') + "\r\n";
  for (int i = 0; i < 200 && socket.send(chunk); ++i) {
  }
  EXPECT_EQ(parse_reply(socket.receive_all()).status, 413);
}

TEST(HttpServer, ExceptionsBecomeA500) {
  const HttpServer server(any_port(), echo, refusal);
  EXPECT_EQ(ask(server.port(), "GET", "/fails").status, 500);
  EXPECT_EQ(ask(server.port(), "GET", "/works").status, 200);
}

TEST(HttpServer, TimesOutHalfRequestsAndSilence) {
  HttpServerOptions options = any_port();
  options.read_timeout = std::chrono::milliseconds(300);
  options.idle_timeout = std::chrono::milliseconds(300);
  const HttpServer server(options, echo, refusal);
  EXPECT_EQ(send_raw(server, "GET / HTTP/1.1\r\nHo").status, 408);
  EXPECT_EQ(Socket(server.port()).receive_all(), "");  // nothing was said, nothing is answered
  const Socket idle(server.port());
  idle.send(http_request("GET", "/a"));
  EXPECT_NE(idle.receive_all().find("GET /a"), std::string::npos);  // and then the end, without a further request
  // A client that drips has no more time than others.
  const Socket dripping(server.port());
  for (int i = 0; i < 12 && dripping.send(i == 0 ? "GET / HTTP/1.1\r\nA: " : "x"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(parse_reply(dripping.receive_all()).status, 408);
}

TEST(HttpServer, LimitsConnections) {
  HttpServerOptions options = any_port();
  options.connections = 3;
  const HttpServer server(options, echo, refusal);
  std::vector<Socket> held;
  for (int i = 0; i < 3; ++i) held.emplace_back(server.port());
  ASSERT_TRUE(before_long([&] { return server.open_connections() == 3; }));
  EXPECT_EQ(parse_reply(Socket(server.port()).receive_all()).status, 503);
  held.pop_back();
  ASSERT_TRUE(before_long([&] { return server.open_connections() == 2; }));
  EXPECT_EQ(ask(server.port(), "GET", "/").status, 200);
}

TEST(HttpServer, LimitsWhatAllRequestsHoldTogether) {
  HttpServerOptions options = any_port();
  options.all_input = 100'000;
  const HttpServer server(options, echo, refusal);
  const std::string head = "POST / HTTP/1.1\r\nContent-Length: 80000\r\n\r\n";
  const Socket first(server.port());
  first.send(head + std::string(60'000, 'a'));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const Socket second(server.port());
  second.send(head + std::string(60'000, 'b'));
  EXPECT_EQ(parse_reply(second.receive_all()).status, 503);
  first.send(std::string(20'000, 'a'));
  EXPECT_NE(first.receive_until("aaaa").find("200 OK"), std::string::npos);
}

// Keeps its exchanges, as who answers later does.
struct Keeper {
  std::mutex mutex;
  std::vector<std::shared_ptr<HttpExchange>> exchanges;
  std::atomic<int> gone = 0;

  void operator()(const HttpRequest&, const std::shared_ptr<HttpExchange>& exchange) {
    exchange->on_gone([this] { ++gone; });
    const std::lock_guard lock(mutex);
    exchanges.push_back(exchange);
  }
  std::size_t count() {
    const std::lock_guard lock(mutex);
    return exchanges.size();
  }
};

TEST(HttpServer, NoticesClientsThatGoAway) {
  Keeper keeper;
  const HttpServer server(any_port(), std::ref(keeper), refusal);
  Socket waiting(server.port()), streaming(server.port());
  waiting.send(http_request("GET", "/"));
  ASSERT_TRUE(before_long([&] { return keeper.count() == 1; }));
  streaming.send(http_request("GET", "/"));
  ASSERT_TRUE(before_long([&] { return keeper.count() == 2; }));
  keeper.exchanges[1]->begin(200, {});
  EXPECT_TRUE(keeper.exchanges[1]->write("piece"));
  EXPECT_NE(streaming.receive_until("piece").find("5\r\npiece"), std::string::npos);
  waiting.close();
  EXPECT_TRUE(before_long([&] { return keeper.gone == 1; }));
  streaming.close();
  EXPECT_TRUE(before_long([&] { return keeper.gone == 2; }));
  EXPECT_FALSE(keeper.exchanges[1]->write("more"));
  EXPECT_EQ(server.open_exchanges(), 0U);
}

TEST(HttpServer, DropsReadersThatFallTooFarBehind) {
  Keeper keeper;
  HttpServerOptions options = any_port();
  options.pending_output = 1 << 20;
  const HttpServer server(options, std::ref(keeper), refusal);
  const Socket slow(server.port(), 4096);
  slow.send(http_request("GET", "/"));
  ASSERT_TRUE(before_long([&] { return keeper.count() == 1; }));
  HttpExchange& exchange = *keeper.exchanges[0];
  exchange.begin(200, {});
  const std::string piece(10'000, 'x');
  int pieces = 0;
  while (pieces < 10'000 && exchange.write(piece)) ++pieces;  // the system takes some megabytes itself
  EXPECT_LT(pieces, 2'000);
  EXPECT_TRUE(before_long([&] { return keeper.gone == 1; }));
  EXPECT_TRUE(before_long([&] { return server.open_connections() == 0; })) << "a cut answer is no end of an exchange";
}

TEST(HttpServer, DropsReadersThatTakeNothing) {
  Keeper keeper;
  HttpServerOptions options = any_port();
  options.write_timeout = std::chrono::milliseconds(300);
  options.pending_output = 64 << 20;
  const HttpServer server(options, std::ref(keeper), refusal);
  const Socket slow(server.port(), 4096);
  slow.send(http_request("GET", "/"));
  ASSERT_TRUE(before_long([&] { return keeper.count() == 1; }));
  keeper.exchanges[0]->begin(200, {});
  keeper.exchanges[0]->write(std::string(16 << 20, 'x'));
  EXPECT_TRUE(before_long([&] { return keeper.gone == 1; }));
}

TEST(HttpServer, SlowReadersGetEverything) {
  Keeper keeper;
  const HttpServer server(any_port(), std::ref(keeper), refusal);
  const Socket slow(server.port(), 4096);
  slow.send(http_request("GET", "/", "", "Connection: close\r\n"));
  ASSERT_TRUE(before_long([&] { return keeper.count() == 1; }));
  HttpExchange& exchange = *keeper.exchanges[0];
  exchange.begin(200, {});
  for (int i = 0; i < 300; ++i) exchange.write(std::string(10'000, static_cast<char>('a' + i % 26)));
  exchange.end();
  std::string all;
  for (std::string piece = slow.receive(20'000); !piece.empty(); piece = slow.receive(20'000)) {
    all += piece;
    std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
  const HttpReply reply = parse_reply(all);
  EXPECT_TRUE(reply.complete);
  EXPECT_EQ(reply.body.size(), 3'000'000U);
  EXPECT_EQ(keeper.gone, 0);
}

TEST(HttpServer, StopsAcceptingButFinishes) {
  Keeper keeper;
  HttpServer server(any_port(), std::ref(keeper), refusal);
  const int port = server.port();
  const Socket busy(port), idle(port);
  busy.send(http_request("GET", "/"));
  ASSERT_TRUE(before_long([&] { return keeper.count() == 1 && server.open_connections() == 2; }));
  server.stop_accepting();
  EXPECT_EQ(idle.receive_all(), "");
  EXPECT_TRUE(before_long([&] {
    try {
      return Socket(port).receive_all().empty();
    } catch (const std::runtime_error&) {
      return true;
    }
  }));
  keeper.exchanges[0]->respond(200, {}, "late");
  EXPECT_EQ(parse_reply(busy.receive_all()).body, "late");
  EXPECT_TRUE(before_long([&] { return server.open_exchanges() == 0; }));
}

TEST(HttpServer, RefusesPlacesItCannotListenOn) {
  HttpServerOptions options = any_port();
  options.host = "localhost";
  EXPECT_THROW(HttpServer(options, echo, refusal), Error);
  const HttpServer first(any_port(), echo, refusal);
  options = any_port();
  options.port = first.port();
  EXPECT_THROW(HttpServer(options, echo, refusal), Error);
}

}  // namespace
}  // namespace kinglet
