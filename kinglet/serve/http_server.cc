#include "kinglet/serve/http_server.h"

#include <atomic>
#include <cerrno>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kinglet/base/log.h"
#include "kinglet/serve/wake_list.h"
#include "kinglet/serve/worker_pool.h"

namespace kinglet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kListenerId = 0, kWakeId = 1;  // connections are numbered from 2
constexpr std::chrono::seconds kDrainTime{2};          // for the rest of a request that was refused
constexpr int kTick = 250;                             // ms between looks at the clock

struct Connection {
  enum class State { kReading, kAnswering, kDraining };

  Connection(int socket, HttpLimits limits) : descriptor(socket), parser(limits) {}
  int descriptor;
  State state = State::kReading;
  HttpRequestParser parser;
  std::string input;  // received behind the request that is being answered
  std::size_t counted_input = 0;
  std::shared_ptr<HttpExchange> exchange;
  bool sending = false;  // bytes are pending that the client has not taken
  std::uint32_t events = 0;
  Clock::time_point deadline;
};

int listening_socket(const HttpServerOptions& options, int& port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(options.port));
  if (::inet_pton(AF_INET, options.host.c_str(), &address.sin_addr) != 1) {
    throw bad_input("host", fmt::format("'{}' is no IPv4 address", options.host), "for example 127.0.0.1");
  }
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  socklen_t size = sizeof(address);
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(descriptor, 1024) != 0 ||
      ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const int problem = errno;
    ::close(descriptor);
    throw system_error(fmt::format("{}:{}", options.host, options.port), "cannot listen", problem);
  }
  port = ntohs(address.sin_port);
  return descriptor;
}

}  // namespace

class HttpServer::Loop {
 public:
  Loop(HttpServerOptions options, Handler handler, Refusal refusal);
  ~Loop();

  int port() const { return port_; }
  const HttpServerOptions& options() const { return options_; }
  void stop_accepting() {
    stopping_ = true;
    wake_->add(kWakeId);
  }
  std::size_t open_exchanges() const { return exchanges_; }
  std::size_t open_connections() const { return open_; }

 private:
  using Entry = std::pair<const std::uint64_t, Connection>;

  void run();
  void accept_all();
  void refuse_connection(int descriptor);
  void on_event(std::uint64_t id, std::uint32_t events);
  void on_readable(Entry& entry);
  void drain(Entry& entry);
  void parse(Entry& entry);
  void start_exchange(Entry& entry);
  void refuse(Entry& entry, int status, std::string_view message);
  void handle(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange);
  void flush(Entry& entry);
  void end_exchange(Entry& entry);
  void watch(Entry& entry);
  void count_input(Connection& connection, std::size_t bytes);
  void check_deadlines();
  void drop(std::uint64_t id);
  void close_idle();

  HttpServerOptions options_;
  Handler handler_;
  Refusal refusal_;
  int port_ = 0;
  int listener_ = -1, epoll_ = -1;
  std::shared_ptr<WakeList> wake_ = std::make_shared<WakeList>();
  std::unordered_map<std::uint64_t, Connection> connections_;
  std::uint64_t next_id_ = kWakeId + 1;
  std::size_t all_input_ = 0;
  std::atomic<bool> stopping_ = false, ending_ = false;
  std::atomic<std::size_t> exchanges_ = 0, open_ = 0;
  WorkerPool workers_;
  std::thread thread_;
};

HttpServer::Loop::Loop(HttpServerOptions options, Handler handler, Refusal refusal)
    : options_(std::move(options)),
      handler_(std::move(handler)),
      refusal_(std::move(refusal)),
      listener_(listening_socket(options_, port_)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      workers_(options_.workers) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kListenerId;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
  event.data.u64 = kWakeId;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_->descriptor(), &event);
  thread_ = std::thread([this] { run(); });
}

HttpServer::Loop::~Loop() {
  ending_ = true;
  wake_->add(kWakeId);
  thread_.join();
  while (!connections_.empty()) drop(connections_.begin()->first);
  if (listener_ >= 0) ::close(listener_);
  ::close(epoll_);
}

void HttpServer::Loop::run() {
  std::vector<epoll_event> events(256);
  Clock::time_point last_check = Clock::now();
  while (!ending_) {
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), kTick);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == kListenerId) {
        accept_all();
      } else if (event.data.u64 == kWakeId) {
        for (const std::uint64_t id : wake_->take()) {
          const auto found = connections_.find(id);
          if (found != connections_.end() && found->second.exchange) flush(*found);
        }
      } else {
        on_event(event.data.u64, event.events);
      }
    }
    if (stopping_ && listener_ >= 0) close_idle();
    if (Clock::now() - last_check >= std::chrono::milliseconds(kTick)) {
      last_check = Clock::now();
      check_deadlines();
    }
  }
}

void HttpServer::Loop::close_idle() {
  ::close(std::exchange(listener_, -1));
  std::vector<std::uint64_t> idle;
  for (const auto& [id, connection] : connections_) {
    if (connection.state == Connection::State::kReading && !connection.parser.begun()) idle.push_back(id);
  }
  for (const std::uint64_t id : idle) drop(id);
}

void HttpServer::Loop::accept_all() {
  while (listener_ >= 0) {
    const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
      // Without descriptors the listener would report itself for ever: others must end first.
      if (errno == EMFILE || errno == ENFILE) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      return;
    }
    if (connections_.size() >= options_.connections) {
      refuse_connection(descriptor);
      continue;
    }
    const int yes = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    Entry& entry = *connections_.try_emplace(next_id_++, descriptor, options_.limits).first;
    entry.second.deadline = Clock::now() + options_.read_timeout;  // an empty connection is worth no more
    epoll_event event{};
    event.events = entry.second.events = EPOLLIN | EPOLLRDHUP;
    event.data.u64 = entry.first;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
    open_ = connections_.size();
  }
}

void HttpServer::Loop::refuse_connection(int descriptor) {
  HttpExchange answer({}, [] {});
  auto [fields, body] = refusal_(503, "The server has too many connections; try again later.");
  answer.set_keep_alive(false);
  answer.respond(503, std::move(fields), body);
  answer.send_pending([&](std::string_view bytes) {
    return static_cast<std::size_t>(std::max<ssize_t>(0, ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL)));
  });
  ::shutdown(descriptor, SHUT_WR);
  char ignored[4096];  // what was received and not read would turn the answer into a reset
  [[maybe_unused]] const auto got = ::recv(descriptor, ignored, sizeof(ignored), 0);
  ::close(descriptor);
}

void HttpServer::Loop::on_event(std::uint64_t id, std::uint32_t events) {
  auto found = connections_.find(id);
  if (found == connections_.end()) return;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) return drop(id);
  if ((events & EPOLLRDHUP) != 0 && found->second.state == Connection::State::kAnswering) return drop(id);
  if ((events & EPOLLOUT) != 0 && found->second.exchange) {
    flush(*found);
    found = connections_.find(id);
    if (found == connections_.end()) return;
  }
  if ((events & EPOLLIN) != 0) {
    if (found->second.state == Connection::State::kReading) return on_readable(*found);
    if (found->second.state == Connection::State::kDraining) return drain(*found);
  }
}

void HttpServer::Loop::on_readable(Entry& entry) {
  char bytes[65536];
  const ssize_t got = ::recv(entry.second.descriptor, bytes, sizeof(bytes), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return drop(entry.first);
  entry.second.input.append(bytes, static_cast<std::size_t>(got));
  parse(entry);
}

void HttpServer::Loop::drain(Entry& entry) {
  char bytes[65536];
  const ssize_t got = ::recv(entry.second.descriptor, bytes, sizeof(bytes), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) drop(entry.first);
}

void HttpServer::Loop::count_input(Connection& connection, std::size_t bytes) {
  all_input_ = all_input_ - connection.counted_input + bytes;
  connection.counted_input = bytes;
}

void HttpServer::Loop::parse(Entry& entry) {
  Connection& connection = entry.second;
  const bool was_begun = connection.parser.begun();
  try {
    connection.input.erase(0, connection.parser.push(connection.input));
    if (!was_begun && connection.parser.begun()) connection.deadline = Clock::now() + options_.read_timeout;
    count_input(connection, connection.parser.buffered());
    if (connection.parser.complete()) return start_exchange(entry);
    if (all_input_ > options_.all_input) throw HttpError(503, "The server is receiving too much; try again later.");
    if (connection.parser.take_continue()) {
      constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      ::send(connection.descriptor, kContinue.data(), kContinue.size(), MSG_NOSIGNAL);
    }
  } catch (const HttpError& error) {
    refuse(entry, error.status(), error.what());
  }
}

void HttpServer::Loop::start_exchange(Entry& entry) {
  Connection& connection = entry.second;
  HttpRequest request = connection.parser.take();
  HttpExchange::Setting setting;
  setting.head_only = request.method == "HEAD";
  setting.chunked = !request.is_http_1_0;
  setting.most_pending = options_.pending_output;
  connection.exchange = std::make_shared<HttpExchange>(setting, [wake = wake_, id = entry.first] { wake->add(id); });
  connection.exchange->set_keep_alive(request.keep_alive && !stopping_);
  connection.state = Connection::State::kAnswering;
  ++exchanges_;
  watch(entry);
  workers_.run([this, request = std::make_shared<HttpRequest>(std::move(request)), exchange = connection.exchange] {
    if (!exchange->gone()) handle(*request, exchange);
  });
}

void HttpServer::Loop::handle(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
  try {
    handler_(request, exchange);
  } catch (const std::exception& error) {
    log_warning("{} {}: {}", printable(request.method), printable(request.path), printable(error.what()));
    if (exchange->begun()) return exchange->abort();
    auto [fields, body] = refusal_(500, "The server had an error while processing the request.");
    exchange->respond(500, std::move(fields), body);
  }
}

// An answer to something that is no request; nothing behind it can be trusted.
void HttpServer::Loop::refuse(Entry& entry, int status, std::string_view message) {
  Connection& connection = entry.second;
  connection.exchange = std::make_shared<HttpExchange>(HttpExchange::Setting(), [] {});
  connection.exchange->set_keep_alive(false);
  auto [fields, body] = refusal_(status, message);
  connection.exchange->respond(status, std::move(fields), body);
  connection.state = Connection::State::kAnswering;
  ++exchanges_;
  flush(entry);
}

void HttpServer::Loop::flush(Entry& entry) {
  Connection& connection = entry.second;
  HttpExchange& exchange = *connection.exchange;
  if (exchange.broken_off()) return drop(entry.first);
  bool broken = false, progress = false;
  const bool all = exchange.send_pending([&](std::string_view bytes) -> std::size_t {
    const ssize_t sent = ::send(connection.descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) progress = true;
    if (sent < 0 && errno != EAGAIN && errno != EINTR) broken = true;
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
  });
  if (broken) return drop(entry.first);
  if (progress || (!all && !connection.sending)) connection.deadline = Clock::now() + options_.write_timeout;
  connection.sending = !all;
  if (all && exchange.finished()) return end_exchange(entry);
  watch(entry);
}

void HttpServer::Loop::end_exchange(Entry& entry) {
  Connection& connection = entry.second;
  const bool keep = connection.exchange->keep_alive() && !stopping_;
  connection.exchange->set_gone();
  connection.exchange.reset();
  --exchanges_;
  connection.sending = false;
  count_input(connection, 0);
  if (!keep) {
    // Closing with unread bytes would reset the connection under an answer that is still on its way.
    ::shutdown(connection.descriptor, SHUT_WR);
    connection.state = Connection::State::kDraining;
    connection.input.clear();
    connection.deadline = Clock::now() + kDrainTime;
    return watch(entry);
  }
  connection.state = Connection::State::kReading;
  connection.deadline = Clock::now() + options_.idle_timeout;
  watch(entry);
  if (!connection.input.empty()) parse(entry);
}

void HttpServer::Loop::watch(Entry& entry) {
  Connection& connection = entry.second;
  // While an answer is under way nothing more is read: a client cannot pile up requests.
  std::uint32_t events = EPOLLRDHUP;
  if (connection.state != Connection::State::kAnswering) events |= EPOLLIN;
  if (connection.state == Connection::State::kDraining) events = EPOLLIN;
  if (connection.sending) events |= EPOLLOUT;
  if (events == connection.events) return;
  connection.events = events;
  epoll_event event{};
  event.events = events;
  event.data.u64 = entry.first;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.descriptor, &event);
}

void HttpServer::Loop::check_deadlines() {
  const Clock::time_point now = Clock::now();
  std::vector<std::uint64_t> late;
  for (const auto& [id, connection] : connections_) {
    // Someone who waits for an answer may wait; someone who does not take it may not.
    if (connection.state == Connection::State::kAnswering && !connection.sending) continue;
    if (now >= connection.deadline) late.push_back(id);
  }
  for (const std::uint64_t id : late) {
    Entry& entry = *connections_.find(id);
    const bool half = entry.second.state == Connection::State::kReading && entry.second.parser.begun();
    if (half)
      refuse(entry, 408, "The request did not come to its end in time.");
    else
      drop(id);
  }
}

void HttpServer::Loop::drop(std::uint64_t id) {
  const auto found = connections_.find(id);
  Connection& connection = found->second;
  ::close(connection.descriptor);
  count_input(connection, 0);
  const std::shared_ptr<HttpExchange> exchange = std::move(connection.exchange);
  connections_.erase(found);
  open_ = connections_.size();
  if (!exchange) return;
  --exchanges_;
  exchange->set_gone();
}

HttpServer::HttpServer(HttpServerOptions options, Handler handler, Refusal refusal)
    : loop_(std::make_unique<Loop>(std::move(options), std::move(handler), std::move(refusal))) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return loop_->port(); }
std::string HttpServer::url() const { return fmt::format("http://{}:{}", loop_->options().host, loop_->port()); }
void HttpServer::stop_accepting() { loop_->stop_accepting(); }
std::size_t HttpServer::open_exchanges() const { return loop_->open_exchanges(); }
std::size_t HttpServer::open_connections() const { return loop_->open_connections(); }

}  // namespace kinglet
