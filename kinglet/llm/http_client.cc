#include "kinglet/llm/http_client.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <mutex>
#include <optional>
#include <unordered_map>

#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

using Clock = std::chrono::steady_clock;

void prepare_curl() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) throw failed("libcurl", "cannot be initialised");
  });
}

struct Slist {
  curl_slist* list = nullptr;
  Slist() = default;
  Slist(const Slist&) = delete;
  Slist& operator=(const Slist&) = delete;
  ~Slist() { curl_slist_free_all(list); }
  void add(const std::string& line) {
    curl_slist* longer = curl_slist_append(list, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    list = longer;
  }
};

}  // namespace

class HttpTransfer {
 public:
  HttpTransfer() : easy_(curl_easy_init()) {
    if (easy_ == nullptr) throw std::bad_alloc();
  }
  ~HttpTransfer() { curl_easy_cleanup(easy_); }
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;

  CURL* easy() const { return easy_; }
  HttpReceiver& receiver() const { return *receiver_; }
  void prepare(const HttpTarget& target, const std::string& body, const std::string& extra_header,
               HttpReceiver& receiver);
  HttpOutcome outcome(CURLcode code) const;

 private:
  template <typename Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(easy_, option, value);
    if (code != CURLE_OK) throw failed("libcurl", curl_easy_strerror(code));
  }
  static std::size_t read_body(char* buffer, std::size_t size, std::size_t count, void* self);
  static std::size_t take_header(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t take_bytes(char* data, std::size_t size, std::size_t count, void* self);

  CURL* easy_;
  HttpReceiver* receiver_ = nullptr;
  std::string_view body_;
  std::size_t body_sent_ = 0;
  std::unique_ptr<Slist> headers_;
  std::array<char, CURL_ERROR_SIZE> error_{};
};

std::size_t HttpTransfer::read_body(char* buffer, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<HttpTransfer*>(self);
  const std::size_t part = std::min(size * count, transfer.body_.size() - transfer.body_sent_);
  std::memcpy(buffer, transfer.body_.data() + transfer.body_sent_, part);
  transfer.body_sent_ += part;
  return part;
}

std::size_t HttpTransfer::take_header(char* data, std::size_t size, std::size_t count, void* self) {
  const std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) {
    const std::size_t space = line.find(' ');
    int status = 0;
    if (space != std::string_view::npos) std::from_chars(line.data() + space + 1, line.data() + line.size(), status);
    static_cast<HttpTransfer*>(self)->receiver().on_status(status);
    return size * count;
  }
  const std::size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    std::string name(line.substr(0, colon));
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && std::isspace(static_cast<unsigned char>(value.front())) != 0) value.remove_prefix(1);
    while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back())) != 0) value.remove_suffix(1);
    static_cast<HttpTransfer*>(self)->receiver().on_header(name, value);
  }
  return size * count;
}

std::size_t HttpTransfer::take_bytes(char* data, std::size_t size, std::size_t count, void* self) {
  static_cast<HttpTransfer*>(self)->receiver().on_bytes({data, size * count});
  return size * count;
}

void HttpTransfer::prepare(const HttpTarget& target, const std::string& body, const std::string& extra_header,
                           HttpReceiver& receiver) {
  receiver_ = &receiver;
  body_ = body;
  body_sent_ = 0;
  error_[0] = '\0';
  headers_ = std::make_unique<Slist>();
  headers_->add("Content-Type: application/json");
  headers_->add("Accept: application/json, text/event-stream");
  headers_->add("Expect:");  // no round trip before a long body
  for (const std::string& header : target.headers) headers_->add(header);
  if (!extra_header.empty()) headers_->add(extra_header);

  curl_easy_reset(easy_);
  set(CURLOPT_URL, target.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_POST, 1L);
  set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  set(CURLOPT_READFUNCTION, &read_body);
  set(CURLOPT_READDATA, this);
  // libcurl would send the request again by itself when a kept connection breaks. The server may have it already, so
  // rewinding is refused; the transfer then ends with CURLE_SEND_FAIL_REWIND.
  set(
      CURLOPT_SEEKFUNCTION, +[](void*, curl_off_t, int) -> int { return CURL_SEEKFUNC_FAIL; });
  set(CURLOPT_HTTPHEADER, headers_->list);
  set(CURLOPT_HEADERFUNCTION, &take_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &take_bytes);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_ERRORBUFFER, error_.data());
  set(CURLOPT_PRIVATE, this);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(target.connect_timeout.count()));
  set(CURLOPT_MAXAGE_CONN, static_cast<long>(target.longest_idle.count()));
  set(CURLOPT_HTTP_VERSION,
      static_cast<long>(target.http2_without_tls ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_2TLS));
  // With HTTP/2, wait for a connection under way rather than open one a call.
  set(CURLOPT_PIPEWAIT, target.http2_without_tls || target.url.starts_with("https:") ? 1L : 0L);
  if (!target.proxy.empty()) set(CURLOPT_PROXY, target.proxy.c_str());
  if (!target.certificate_authorities.empty()) set(CURLOPT_CAINFO, target.certificate_authorities.c_str());
}

HttpOutcome HttpTransfer::outcome(CURLcode code) const {
  HttpOutcome outcome;
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  outcome.status = static_cast<int>(status);
  outcome.sent = body_sent_ > 0;
  if (code == CURLE_OK) return outcome;
  outcome.kind = outcome.sent ? HttpOutcome::Kind::kBroken : HttpOutcome::Kind::kUnreachable;
  outcome.message = code == CURLE_SEND_FAIL_REWIND ? "the connection broke after the request was sent"
                    : error_[0] != '\0'            ? error_.data()
                                                   : curl_easy_strerror(code);
  return outcome;
}

struct HttpClient::State {
  CURLM* multi = nullptr;
  int epoll = -1, waker = -1;
  std::size_t max_transfers = 0;
  std::unordered_map<HttpTransfer*, std::unique_ptr<HttpTransfer>> active;
  std::vector<std::unique_ptr<HttpTransfer>> spare;
  std::optional<Clock::time_point> curl_timer;
  std::vector<Participant*> participants;
  std::vector<epoll_event> events = std::vector<epoll_event>(512);

  static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void* known);
  static int on_timer(CURLM*, long milliseconds, void* self);
  void release(HttpTransfer* transfer);
  void collect();
  bool tick_all();
  void wait_for_network(std::chrono::milliseconds wait);
};

int HttpClient::State::on_socket(CURL*, curl_socket_t socket, int what, void* self, void* known) {
  auto& state = *static_cast<State*>(self);
  if (what == CURL_POLL_REMOVE) {
    ::epoll_ctl(state.epoll, EPOLL_CTL_DEL, socket, nullptr);
    return 0;
  }
  epoll_event event{};
  event.data.fd = socket;
  if ((what & CURL_POLL_IN) != 0) event.events |= static_cast<std::uint32_t>(EPOLLIN);
  if ((what & CURL_POLL_OUT) != 0) event.events |= static_cast<std::uint32_t>(EPOLLOUT);
  // The kernel drops closed sockets by itself, so what libcurl knows and what epoll knows may differ.
  if (::epoll_ctl(state.epoll, known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event) != 0) {
    ::epoll_ctl(state.epoll, known == nullptr ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
  }
  if (known == nullptr) curl_multi_assign(state.multi, socket, self);
  return 0;
}

int HttpClient::State::on_timer(CURLM*, long milliseconds, void* self) {
  auto& state = *static_cast<State*>(self);
  if (milliseconds < 0)
    state.curl_timer.reset();
  else
    state.curl_timer = Clock::now() + std::chrono::milliseconds(milliseconds);
  return 0;
}

void HttpClient::State::release(HttpTransfer* transfer) {
  curl_multi_remove_handle(multi, transfer->easy());
  const auto found = active.find(transfer);
  spare.push_back(std::move(found->second));
  active.erase(found);
}

void HttpClient::State::collect() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    char* self = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &self);
    auto* transfer = reinterpret_cast<HttpTransfer*>(self);
    HttpOutcome outcome = transfer->outcome(code);
    HttpReceiver& receiver = transfer->receiver();
    release(transfer);
    receiver.on_end(std::move(outcome));
  }
}

bool HttpClient::State::tick_all() {
  if (participants.size() > 1) std::rotate(participants.begin(), participants.begin() + 1, participants.end());
  const std::vector<Participant*> now = participants;  // a tick runs callbacks, which may make or end an endpoint
  bool ended = false;
  for (Participant* participant : now) {
    if (std::ranges::find(participants, participant) != participants.end()) ended = participant->tick() || ended;
  }
  return ended;
}

void HttpClient::State::wait_for_network(std::chrono::milliseconds wait) {
  Clock::time_point until = Clock::now() + wait;
  if (curl_timer) until = std::min(until, *curl_timer);
  for (Participant* participant : participants) until = std::min(until, participant->next_tick());
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()),
                                 static_cast<int>(std::clamp<std::int64_t>(left, 0, wait.count())));
  int running = 0;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.fd == waker) {
      std::uint64_t drained = 0;
      [[maybe_unused]] const ssize_t read = ::read(waker, &drained, sizeof(drained));
      continue;
    }
    int what = 0;
    if ((event.events & EPOLLIN) != 0) what |= CURL_CSELECT_IN;
    if ((event.events & EPOLLOUT) != 0) what |= CURL_CSELECT_OUT;
    if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) what |= CURL_CSELECT_ERR;
    curl_multi_socket_action(multi, event.data.fd, what, &running);
  }
  if (curl_timer && *curl_timer <= Clock::now()) {
    curl_timer.reset();
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  collect();
}

HttpClient::HttpClient(std::size_t max_transfers) : state_(std::make_unique<State>()) {
  prepare_curl();
  state_->max_transfers = std::max<std::size_t>(1, max_transfers);
  state_->multi = curl_multi_init();
  state_->epoll = ::epoll_create1(EPOLL_CLOEXEC);
  state_->waker = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (state_->multi == nullptr || state_->epoll < 0 || state_->waker < 0) {
    throw failed("network", "cannot be prepared", "raise the limit of open files (ulimit -n)");
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = state_->waker;
  ::epoll_ctl(state_->epoll, EPOLL_CTL_ADD, state_->waker, &event);
  curl_multi_setopt(state_->multi, CURLMOPT_SOCKETFUNCTION, &State::on_socket);
  curl_multi_setopt(state_->multi, CURLMOPT_SOCKETDATA, state_.get());
  curl_multi_setopt(state_->multi, CURLMOPT_TIMERFUNCTION, &State::on_timer);
  curl_multi_setopt(state_->multi, CURLMOPT_TIMERDATA, state_.get());
  curl_multi_setopt(state_->multi, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
  curl_multi_setopt(state_->multi, CURLMOPT_MAXCONNECTS, static_cast<long>(state_->max_transfers));
}

HttpClient::~HttpClient() {
  for (auto& [transfer, owner] : state_->active) curl_multi_remove_handle(state_->multi, transfer->easy());
  state_->active.clear();
  state_->spare.clear();
  curl_multi_cleanup(state_->multi);
  ::close(state_->epoll);
  ::close(state_->waker);
}

std::size_t HttpClient::max_transfers() const { return state_->max_transfers; }
std::size_t HttpClient::transfers() const { return state_->active.size(); }

HttpTransfer* HttpClient::start(const HttpTarget& target, const std::string& body, const std::string& extra_header,
                                HttpReceiver& receiver) {
  std::unique_ptr<HttpTransfer> transfer;
  if (state_->spare.empty()) {
    transfer = std::make_unique<HttpTransfer>();
  } else {
    transfer = std::move(state_->spare.back());
    state_->spare.pop_back();
  }
  transfer->prepare(target, body, extra_header, receiver);
  HttpTransfer* handle = transfer.get();
  state_->active.emplace(handle, std::move(transfer));
  const CURLMcode code = curl_multi_add_handle(state_->multi, handle->easy());
  if (code != CURLM_OK) {
    state_->active.erase(handle);
    throw failed("libcurl", curl_multi_strerror(code));
  }
  return handle;
}

HttpOutcome HttpClient::cancel(HttpTransfer* transfer) {
  HttpOutcome outcome = transfer->outcome(CURLE_ABORTED_BY_CALLBACK);
  state_->release(transfer);
  return outcome;
}

void HttpClient::poll(std::chrono::milliseconds wait) {
  const bool ended = state_->tick_all();
  state_->wait_for_network(ended ? std::chrono::milliseconds{0} : std::max(wait, std::chrono::milliseconds{0}));
  state_->tick_all();
}

void HttpClient::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(state_->waker, &one, sizeof(one));
}

void HttpClient::join(Participant& participant) { state_->participants.push_back(&participant); }
void HttpClient::leave(Participant& participant) { std::erase(state_->participants, &participant); }

}  // namespace kinglet
