#include "kinglet/llm/mock_server.h"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <mutex>
#include <optional>
#include <queue>
#include <thread>
#include <unordered_map>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kinglet/base/error.h"
#include "kinglet/llm/http_message.h"
#include "kinglet/text/json_text.h"

namespace kinglet {
namespace {

using Clock = std::chrono::steady_clock;

enum class After { kKeep, kClose, kReset, kHang };

struct Connection {
  int descriptor = -1;
  std::string input;
  std::string output;
  std::deque<std::string> pieces;  // of the answer, still to be sent
  std::chrono::milliseconds piece_delay{0};
  After after = After::kKeep;
  bool answering = false;
  bool accepted = false;  // the call under way counts as billed
  bool wants_write = false;
};

struct Timer {
  Clock::time_point time;
  int descriptor;
  std::uint64_t serial;  // of the connection: descriptors are used again
  bool operator>(const Timer& other) const { return time > other.time; }
};

std::string chunk(std::string_view data) { return fmt::format("{:x}\r\n{}\r\n", data.size(), data); }

std::string head_of(int status, std::string_view type, std::optional<std::size_t> length, std::string_view more = {}) {
  const char* reason = status == 200 ? "OK" : status == 429 ? "Too Many Requests" : "Error";
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\n{}", status, reason, type, more);
  if (length)
    head += fmt::format("Content-Length: {}\r\n\r\n", *length);
  else
    head += "Transfer-Encoding: chunked\r\n\r\n";
  return head;
}

std::string error_body(std::string_view message, std::string_view type) {
  return Json{{"error", {{"message", message}, {"type", type}, {"code", type}}}}.dump(-1, ' ', false,
                                                                                      Json::error_handler_t::replace);
}

std::deque<std::string> dripping(const std::deque<std::string>& pieces, std::size_t bytes) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  std::deque<std::string> drops;
  for (std::size_t at = 0; at < all.size(); at += bytes) drops.push_back(all.substr(at, bytes));
  return drops;
}

}  // namespace

class MockServer::Loop {
 public:
  Loop(MockOptions options, int port, const std::string& host);
  ~Loop();

  int port() const { return port_; }
  const std::string& host() const { return host_; }
  MockStatistics statistics() const {
    const std::lock_guard lock(mutex_);
    return statistics_;
  }
  MockOptions options() const {
    const std::lock_guard lock(mutex_);
    return options_;
  }
  void set_options(MockOptions options) {
    const std::lock_guard lock(mutex_);
    options_ = std::move(options);
  }

 private:
  struct Entry {
    Connection connection;
    std::uint64_t serial = 0;
  };

  void run();
  void accept_all();
  void on_readable(Entry& entry);
  void serve(Entry& entry);
  void answer(Entry& entry, const HttpMessage& message);
  void answer_chat(Entry& entry, const HttpMessage& message);
  void send_simple(Entry& entry, int status, const std::string& body, std::string_view headers = {});
  void start_answer(Entry& entry, std::chrono::milliseconds latency);
  void on_timer(Entry& entry);
  void advance(Entry& entry);
  void end_answer(Entry& entry);
  void flush(Entry& entry);
  void drop(Entry& entry, bool reset);
  int next_wait() const;

  std::string host_;
  int port_ = 0;
  int listener_ = -1, epoll_ = -1, wake_ = -1;
  std::unordered_map<int, Entry> connections_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::map<std::string, int> occurrences_;
  std::uint64_t next_serial_ = 1;
  int at_once_ = 0;
  mutable std::mutex mutex_;  // guards the two below
  MockOptions options_;
  MockStatistics statistics_;
  std::thread thread_;
};

MockServer::Loop::Loop(MockOptions options, int port, const std::string& host)
    : host_(host), options_(std::move(options)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) {
    ::close(listener_);
    throw bad_input("host", fmt::format("'{}' is no IPv4 address", host), "for example 127.0.0.1");
  }
  socklen_t size = sizeof(address);
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 4096) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const int problem = errno;
    ::close(listener_);
    throw system_error(fmt::format("{}:{}", host, port), "cannot listen", problem);
  }
  port_ = ntohs(address.sin_port);
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  for (const int descriptor : {listener_, wake_}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = descriptor;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
  }
  thread_ = std::thread([this] { run(); });
}

MockServer::Loop::~Loop() {
  const std::uint64_t one = 1;
  if (::write(wake_, &one, sizeof(one)) == sizeof(one)) thread_.join();
  for (auto& [descriptor, entry] : connections_) ::close(descriptor);
  for (const int descriptor : {listener_, epoll_, wake_}) ::close(descriptor);
}

int MockServer::Loop::next_wait() const {
  if (timers_.empty()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.top().time - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void MockServer::Loop::run() {
  std::vector<epoll_event> events(256);
  for (;;) {
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), next_wait());
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.fd == wake_) return;
      if (event.data.fd == listener_) {
        accept_all();
        continue;
      }
      const auto found = connections_.find(event.data.fd);
      if (found == connections_.end()) continue;
      if ((event.events & EPOLLOUT) != 0) flush(found->second);
      const auto again = connections_.find(event.data.fd);
      if (again != connections_.end() && (event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) {
        on_readable(again->second);
      }
    }
    while (!timers_.empty() && timers_.top().time <= Clock::now()) {
      const Timer timer = timers_.top();
      timers_.pop();
      const auto found = connections_.find(timer.descriptor);
      if (found != connections_.end() && found->second.serial == timer.serial) on_timer(found->second);
    }
  }
}

void MockServer::Loop::accept_all() {
  for (;;) {
    const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) return;
    const int yes = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.fd = descriptor;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
    Entry& entry = connections_[descriptor];
    entry.connection.descriptor = descriptor;
    entry.serial = next_serial_++;
    const std::lock_guard lock(mutex_);
    ++statistics_.connections;
  }
}

void MockServer::Loop::on_readable(Entry& entry) {
  char buffer[65536];
  for (;;) {
    const ssize_t count = ::recv(entry.connection.descriptor, buffer, sizeof(buffer), 0);
    if (count > 0) {
      entry.connection.input.append(buffer, static_cast<std::size_t>(count));
      if (count == sizeof(buffer)) continue;
      break;
    }
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (count < 0 && errno == EINTR) continue;
    if (entry.connection.answering) {
      const std::lock_guard lock(mutex_);
      ++statistics_.given_up;
    }
    drop(entry, false);
    return;
  }
  if (!entry.connection.answering) serve(entry);
}

void MockServer::Loop::serve(Entry& entry) {
  std::optional<HttpMessage> message;
  try {
    message = take_http_message(entry.connection.input);
  } catch (const Error& error) {
    entry.connection.after = After::kClose;
    send_simple(entry, 400, error_body(error.what(), "invalid_request"));
    return;
  }
  if (!message) return;
  entry.connection.after = message->close ? After::kClose : After::kKeep;
  answer(entry, *message);
}

void MockServer::Loop::send_simple(Entry& entry, int status, const std::string& body, std::string_view headers) {
  entry.connection.pieces = {head_of(status, "application/json", body.size(), headers) + body};
  entry.connection.accepted = false;
  start_answer(entry, std::chrono::milliseconds{0});
}

void MockServer::Loop::answer(Entry& entry, const HttpMessage& message) {
  if (message.method == "GET" && message.path.ends_with("/models")) {
    const Json model = {{"id", options().model}, {"object", "model"}};
    send_simple(entry, 200, Json{{"object", "list"}, {"data", Json::array({model})}}.dump());
  } else if (message.method == "GET" && message.path == "/mock/statistics") {
    const MockStatistics now = statistics();
    send_simple(entry, 200,
                Json{{"requests", now.requests},
                     {"accepted", now.accepted},
                     {"answered", now.answered},
                     {"limited", now.limited},
                     {"given_up", now.given_up},
                     {"connections", now.connections},
                     {"most_at_once", now.most_at_once},
                     {"billed_tokens", now.billed_tokens}}
                    .dump());
  } else if (message.method == "POST" && message.path.ends_with("/chat/completions")) {
    answer_chat(entry, message);
  } else {
    send_simple(entry, 404, error_body("there is nothing at " + message.path, "not_found"));
  }
}

void MockServer::Loop::answer_chat(Entry& entry, const HttpMessage& message) {
  {
    const std::lock_guard lock(mutex_);
    ++statistics_.requests;
  }
  const MockOptions options = this->options();
  if (!options.api_key.empty() && message.authorization != "Bearer " + options.api_key) {
    send_simple(entry, 401, error_body("wrong key: " + message.authorization, "invalid_api_key"));
    return;
  }
  MockRequest request;
  try {
    request = parse_mock_request(message.body);
  } catch (const Error& error) {
    send_simple(entry, 400, error_body(error.what(), "invalid_request"));
    return;
  }
  request.occurrence = occurrences_[request.id]++;
  const MockPlan plan = plan_for(request, options);
  const bool full = options.max_concurrent > 0 && at_once_ >= options.max_concurrent;
  if (plan.fault == MockFault::kRateLimit || full) {
    {
      const std::lock_guard lock(mutex_);
      ++statistics_.limited;
    }
    const std::string wait = options.retry_after_seconds > 0
                                 ? fmt::format("Retry-After: {}\r\n", options.retry_after_seconds)
                                 : std::string();
    send_simple(entry, 429, error_body("slow down", "rate_limit_exceeded"), wait);
    return;
  }
  if (plan.fault == MockFault::kServerError) {
    send_simple(entry, 500, error_body("something broke", "server_error"));
    return;
  }
  entry.connection.accepted = true;
  ++at_once_;
  {
    const std::lock_guard lock(mutex_);
    ++statistics_.accepted;
    ++statistics_.accepted_by_message[request.last_message];
    statistics_.billed_tokens += static_cast<std::uint64_t>(request.prompt_tokens) + plan.tokens.size();
    statistics_.most_at_once = std::max(statistics_.most_at_once, static_cast<std::uint64_t>(at_once_));
  }
  std::deque<std::string>& pieces = entry.connection.pieces;
  if (request.stream) {
    pieces.push_back(head_of(200, "text/event-stream", std::nullopt));
    for (const std::string& event : mock_events(request, plan, options)) pieces.push_back(chunk(event));
    pieces.emplace_back("0\r\n\r\n");
    if (plan.token_delay.count() == 0 && plan.bytes_at_once == 0 && plan.fault == MockFault::kNone) {
      pieces = dripping(pieces, std::size_t{1} << 20);  // all at once
    }
  } else {
    const std::string body = mock_document(request, plan, options);
    pieces.push_back(head_of(200, "application/json", body.size()) + body);
  }
  if (plan.fault == MockFault::kCut && pieces.size() == 1) pieces = dripping(pieces, pieces[0].size() / 2 + 1);
  if (plan.fault == MockFault::kCut) pieces.resize(pieces.size() / 2);
  if (plan.fault == MockFault::kReset || plan.fault == MockFault::kHang) pieces.clear();
  if (plan.bytes_at_once > 0) pieces = dripping(pieces, plan.bytes_at_once);
  entry.connection.piece_delay = plan.token_delay;
  if (plan.fault == MockFault::kCut) entry.connection.after = After::kClose;
  if (plan.fault == MockFault::kReset) entry.connection.after = After::kReset;
  if (plan.fault == MockFault::kHang) entry.connection.after = After::kHang;
  start_answer(entry, plan.latency);
}

void MockServer::Loop::start_answer(Entry& entry, std::chrono::milliseconds latency) {
  entry.connection.answering = true;
  if (latency.count() > 0)
    timers_.push({Clock::now() + latency, entry.connection.descriptor, entry.serial});
  else
    advance(entry);
}

void MockServer::Loop::on_timer(Entry& entry) {
  if (entry.connection.answering)
    advance(entry);
  else
    serve(entry);
}

// Sends what is due: one piece when pieces are apart in time, else all.
void MockServer::Loop::advance(Entry& entry) {
  Connection& connection = entry.connection;
  while (!connection.pieces.empty()) {
    connection.output += connection.pieces.front();
    connection.pieces.pop_front();
    if (connection.piece_delay.count() > 0 && !connection.pieces.empty()) {
      timers_.push({Clock::now() + connection.piece_delay, connection.descriptor, entry.serial});
      break;
    }
  }
  flush(entry);
}

void MockServer::Loop::flush(Entry& entry) {
  Connection& connection = entry.connection;
  while (!connection.output.empty()) {
    const ssize_t count =
        ::send(connection.descriptor, connection.output.data(), connection.output.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (count < 0) return drop(entry, false);
    connection.output.erase(0, static_cast<std::size_t>(count));
  }
  if (connection.wants_write != !connection.output.empty()) {
    connection.wants_write = !connection.output.empty();
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | (connection.wants_write ? static_cast<std::uint32_t>(EPOLLOUT) : 0U);
    event.data.fd = connection.descriptor;
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.descriptor, &event);
  }
  if (connection.answering && connection.output.empty() && connection.pieces.empty()) end_answer(entry);
}

void MockServer::Loop::end_answer(Entry& entry) {
  Connection& connection = entry.connection;
  if (connection.after == After::kHang) return;
  if (connection.after == After::kReset) return drop(entry, true);
  if (connection.accepted) {
    --at_once_;
    connection.accepted = false;
    const std::lock_guard lock(mutex_);
    if (connection.after == After::kKeep) ++statistics_.answered;
  }
  connection.answering = false;
  if (connection.after == After::kClose) return drop(entry, false);
  // A next request may have come already; by way of the loop, so that many of them do not nest.
  if (!connection.input.empty()) timers_.push({Clock::now(), connection.descriptor, entry.serial});
}

void MockServer::Loop::drop(Entry& entry, bool reset) {
  const int descriptor = entry.connection.descriptor;
  if (entry.connection.accepted) --at_once_;
  if (reset) {
    const linger now{1, 0};  // RST in place of FIN
    ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  }
  ::close(descriptor);
  connections_.erase(descriptor);
}

MockServer::MockServer(MockOptions options, int port, const std::string& host)
    : loop_(std::make_unique<Loop>(std::move(options), port, host)) {}
MockServer::~MockServer() = default;
int MockServer::port() const { return loop_->port(); }
std::string MockServer::base_url() const { return fmt::format("http://{}:{}/v1", loop_->host(), loop_->port()); }
MockStatistics MockServer::statistics() const { return loop_->statistics(); }
void MockServer::set_options(MockOptions options) { loop_->set_options(std::move(options)); }

}  // namespace kinglet
