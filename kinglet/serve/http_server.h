// An HTTP/1.1 server for long answers to many clients at once.
//
// One thread speaks with all clients, so that a connection costs its buffers alone, a slow reader holds up nobody, and
// a client that goes away is noticed at once, also while its request waits. Requests are handled by a few workers; who
// handles one keeps its exchange and answers whenever it likes, from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "kinglet/serve/http_exchange.h"
#include "kinglet/serve/http_request.h"

namespace kinglet {

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // an IPv4 address
  int port = 8080;                 // 0: any free one
  HttpLimits limits;
  std::size_t connections = 1024;        // more are closed with a 503
  std::size_t all_input = 256 << 20;     // bytes of requests that are being received; more are refused with a 503
  std::size_t pending_output = 4 << 20;  // bytes a client may be behind; more, and it loses the connection
  std::chrono::milliseconds read_timeout{30'000};   // for a whole request, from its first byte
  std::chrono::milliseconds write_timeout{30'000};  // for a client that takes nothing
  std::chrono::milliseconds idle_timeout{75'000};   // between requests
  int workers = 2;
};

class HttpServer {
 public:
  // Runs on a worker. An exception becomes a 500.
  using Handler = std::function<void(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange)>;
  // The answer to what is refused before it becomes a request (HttpError): fields and body.
  using Refusal = std::function<std::pair<HttpFields, std::string>(int status, std::string_view message)>;

  // Listens at once. Raises Error: bad input for what is no IPv4 address, failed when the port is taken.
  HttpServer(HttpServerOptions options, Handler handler, Refusal refusal);
  ~HttpServer();  // closes every connection
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;
  std::string url() const;  // http://127.0.0.1:8080
  void stop_accepting();    // closes idle connections too; exchanges under way go on
  std::size_t open_exchanges() const;
  std::size_t open_connections() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace kinglet
