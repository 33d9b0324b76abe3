// Many HTTP POSTs at once from one thread, over libcurl's multi interface and epoll: kept connections, HTTP/2 where a
// server offers it, TLS with verification, proxies (also from http_proxy, https_proxy, no_proxy).
//
// Nothing is queued here: what is started is sent at once, so waiting time never counts as a timeout. There are no
// timeouts but that of connecting; who waits for an answer cancels the transfer. Redirects are not followed. A request
// is never sent a second time behind the caller's back: where libcurl would do that (a kept connection that broke), the
// transfer ends as broken.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kinglet {

struct HttpTarget {  // what the requests to one endpoint share
  std::string url;
  std::vector<std::string> headers;     // "Name: value"
  std::string proxy;                    // empty: from the environment
  std::string certificate_authorities;  // a PEM file; empty: the system's
  bool http2_without_tls = false;       // the server speaks HTTP/2 from the start on a plain connection
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::seconds longest_idle{30};  // a kept connection that idled longer is not used again
};

struct HttpOutcome {
  enum class Kind {
    kAnswered,     // the whole answer has come
    kUnreachable,  // no connection (name, route, TLS): nothing was sent
    kBroken,       // the connection ended after it was established
  };
  Kind kind = Kind::kAnswered;
  int status = 0;       // 0: no status line has come
  bool sent = false;    // bytes of the body were handed to the system: the server may have the request
  std::string message;  // of a failure, one line
};

// Callbacks of one transfer, from inside HttpClient::poll(); on_end comes last and exactly once unless it is cancelled.
// They must not throw, nor start or cancel transfers.
class HttpReceiver {
 public:
  virtual ~HttpReceiver() = default;
  virtual void on_status(int status) = 0;  // what came before belongs to an earlier answer (100, a proxy's)
  virtual void on_header(std::string_view name, std::string_view value) = 0;  // name in lower case
  virtual void on_bytes(std::string_view bytes) = 0;                          // of the body
  virtual void on_end(HttpOutcome outcome) = 0;
};

class HttpTransfer;

class HttpClient {
 public:
  // What is driven by poll() beside the transfers: endpoints register themselves.
  class Participant {
   public:
    virtual ~Participant() = default;
    // Ends, starts and delivers what is due; whether a call ended.
    virtual bool tick() = 0;
    virtual std::chrono::steady_clock::time_point next_tick() = 0;  // when it must be called at the latest
  };

  // At most `max_transfers` at once over all endpoints.
  explicit HttpClient(std::size_t max_transfers = 1024);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  std::size_t max_transfers() const;
  std::size_t transfers() const;

  // `receiver` and `body` must outlive the transfer. The handle is valid until on_end or cancel().
  HttpTransfer* start(const HttpTarget& target, const std::string& body, const std::string& extra_header,
                      HttpReceiver& receiver);
  // Closes the connection at once (HTTP/2: resets the stream). The outcome is kBroken or, when nothing was sent,
  // kUnreachable; on_end is not called.
  HttpOutcome cancel(HttpTransfer* transfer);

  // Ticks the participants, waits up to `wait` for the network (not when a call ended already), ticks them again.
  void poll(std::chrono::milliseconds wait);
  // Ends the wait of a poll() early; the one function that other threads and signal handlers may call.
  void wake();

  void join(Participant& participant);
  void leave(Participant& participant);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kinglet
