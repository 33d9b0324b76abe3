// What does a call to a model server cost on this side? Calls a second (wall clock, and for one core of the client) at
// 1, 64 and 1024 in flight against a mock server without latency in a process of its own, beside bare libcurl; with the
// durable ledger; and memory for each call in flight and each that waits. With --python, the `openai` package on
// asyncio in the same run (bench/peers/openai_calls.py).
//   build/bench/llm_calls [--calls N] [--python PYTHON]
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/support/scratch_folder.h"
#include "bench/support/stopwatch.h"

#include "kinglet/base/error.h"
#include "kinglet/llm/endpoint_model.h"
#include "kinglet/llm/mock_server.h"
#include "kinglet/llm/sqlite_ledger.h"

namespace {

using namespace kinglet;

// The mock server in a child process, so that its work is not counted as ours; it ends with the object.
class ServerProcess {
 public:
  explicit ServerProcess(const MockOptions& options) {
    int to_parent[2], to_child[2];
    if (pipe(to_parent) != 0 || pipe(to_child) != 0) throw failed("pipe", "cannot be made");
    child_ = fork();
    if (child_ == 0) {
      close(to_parent[0]);
      close(to_child[1]);
      const MockServer server(options);
      const int port = server.port();
      if (write(to_parent[1], &port, sizeof(port)) != sizeof(port)) _exit(1);
      char nothing;
      while (read(to_child[0], &nothing, 1) > 0) {
      }
      _exit(0);
    }
    close(to_parent[1]);
    close(to_child[0]);
    keep_ = to_child[1];
    int port = 0;
    if (read(to_parent[0], &port, sizeof(port)) != sizeof(port)) throw failed("mock server", "did not start");
    close(to_parent[0]);
    url_ = fmt::format("http://127.0.0.1:{}/v1", port);
  }
  ~ServerProcess() {
    close(keep_);
    waitpid(child_, nullptr, 0);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  const std::string& url() const { return url_; }

 private:
  pid_t child_ = -1;
  int keep_ = -1;
  std::string url_;
};

ChatRequest question(int number, bool stream) {
  ChatRequest request;
  request.messages = {{"system", "You are a helpful assistant."},
                      {"user", fmt::format("Question {}: what is the capital of the country?", number)}};
  request.temperature = 0.7;
  request.max_tokens = 64;
  request.stream = stream;
  request.slot = std::to_string(number);
  return request;
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

struct Bench {
  std::string url;
  int in_flight = 1;
  int calls = 1000;
  bool stream = false;
  CallLedger* ledger = nullptr;
};

EndpointOptions options_for(const Bench& bench) {
  EndpointOptions options;
  options.base_url = bench.url;
  options.model = "mock";
  options.admission.max_in_flight = bench.in_flight;
  options.ledger = bench.ledger;
  return options;
}

bench::Seconds with_kinglet(const Bench& bench) {
  HttpClient client(static_cast<std::size_t>(bench.in_flight));
  EndpointModel model(client, options_for(bench));
  int next = 0, failures = 0;
  const std::function<void()> submit = [&] {
    if (next >= bench.calls) return;
    model.submit(question(next++, bench.stream), {.on_text = {}, .on_reply = [&](const ChatReply& reply) {
                                                    failures += !reply.done();
                                                    submit();
                                                  }});
  };
  const bench::Seconds seconds = bench::seconds_of([&] {
    for (int i = 0; i < bench.in_flight; ++i) submit();
    while (model.poll(std::chrono::milliseconds(100))) {
    }
  });
  if (failures > 0) throw failed("bench", fmt::format("{} calls failed", failures));
  return seconds;
}

std::size_t ignore_bytes(char*, std::size_t size, std::size_t count, void*) { return size * count; }

// The floor: libcurl alone, the body made once, the answer thrown away.
bench::Seconds with_curl(const Bench& bench) {
  const std::string body = request_body(question(0, bench.stream), {.model = "mock"});
  const std::string url = bench.url + "/chat/completions";
  curl_slist* headers = curl_slist_append(nullptr, "Content-Type: application/json");
  CURLM* multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, static_cast<long>(bench.in_flight));
  std::vector<CURL*> handles;
  int started = 0, ended = 0;
  const auto start = [&](CURL* easy) {
    if (started >= bench.calls) return;
    ++started;
    curl_multi_add_handle(multi, easy);
  };
  const bench::Seconds seconds = bench::seconds_of([&] {
    for (int i = 0; i < bench.in_flight; ++i) {
      CURL* easy = curl_easy_init();
      curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
      curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.c_str());
      curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
      curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &ignore_bytes);
      handles.push_back(easy);
      start(easy);
    }
    while (ended < bench.calls) {
      int running = 0, left = 0;
      curl_multi_perform(multi, &running);
      while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
        CURL* easy = message->easy_handle;
        curl_multi_remove_handle(multi, easy);
        ++ended;
        start(easy);
      }
      if (ended < bench.calls) curl_multi_poll(multi, nullptr, 0, 100, nullptr);
    }
  });
  for (CURL* easy : handles) curl_easy_cleanup(easy);
  curl_multi_cleanup(multi);
  curl_slist_free_all(headers);
  return seconds;
}

void print_row(const char* what, const Bench& bench, const bench::Seconds& seconds) {
  std::printf("%-28s %6d %8d %10.0f %14.0f %10.1f\n", what, bench.in_flight, bench.calls, bench.calls / seconds.wall,
              bench.calls / seconds.cpu, 1e6 * seconds.cpu / bench.calls);
  std::fflush(stdout);
}

void with_python(const std::string& python, const Bench& bench) {
  const std::string command = fmt::format("{} {}/openai_calls.py {} {} {} {}", python, KINGLET_PEERS_DIR, bench.url,
                                          bench.calls, bench.in_flight, bench.stream ? "stream" : "whole");
  std::fflush(stdout);
  if (std::system(command.c_str()) != 0) std::printf("(the peer did not run: %s)\n", command.c_str());
}

void measure_memory() {
  const ServerProcess slow(MockOptions{.latency = std::chrono::seconds(4)});
  constexpr int kFlying = 1000, kWaiting = 20'000;
  Bench bench{.url = slow.url(), .in_flight = kFlying};
  HttpClient client(kFlying);
  EndpointModel model(client, options_for(bench));
  const ChatCallbacks nothing = {.on_text = {}, .on_reply = [](const ChatReply&) {}};
  std::vector<CallId> calls;
  const double before = resident_bytes();
  for (int i = 0; i < kFlying; ++i) calls.push_back(model.submit(question(i, true), nothing));
  while (model.in_flight() < kFlying) model.poll(std::chrono::milliseconds(1));
  for (int i = 0; i < 100; ++i) model.poll(std::chrono::milliseconds(5));
  const double flying = resident_bytes();
  for (int i = 0; i < kWaiting; ++i) calls.push_back(model.submit(question(kFlying + i, true), nothing));
  const double waiting = resident_bytes();
  std::printf(
      "memory                       %6.1f KiB a call in flight (curl's connection included), %.2f KiB a call that "
      "waits\n",
      (flying - before) / kFlying / 1024, (waiting - flying) / kWaiting / 1024);
  for (const CallId call : calls) model.cancel(call);
  while (model.poll(std::chrono::milliseconds(10))) {
  }
}

int run(int calls, const std::string& python) {
  const ServerProcess server(MockOptions{});
  std::printf("%-28s %6s %8s %10s %14s %10s\n", "client", "flying", "calls", "calls/s", "calls/s a core", "us a call");
  for (const int in_flight : {1, 64, 1024}) {
    Bench bench{.url = server.url(), .in_flight = in_flight, .calls = in_flight == 1 ? calls / 4 : calls};
    print_row("libcurl alone", bench, with_curl(bench));
    print_row("kinglet", bench, with_kinglet(bench));
    bench.stream = true;
    print_row("kinglet, streamed", bench, with_kinglet(bench));
    {
      const bench::ScratchFolder folder;
      SqliteLedger ledger(folder / "ledger.db");
      bench.stream = false;
      bench.ledger = &ledger;
      Bench fewer = bench;
      fewer.calls = in_flight == 1 ? std::min(200, bench.calls) : bench.calls;  // two waits for the disk a call
      print_row("kinglet, durable ledger", fewer, with_kinglet(fewer));
    }
    if (python.empty()) continue;
    for (const bool stream : {false, true}) {
      bench.stream = stream;
      bench.calls = calls / 8;
      with_python(python, bench);
    }
  }
  measure_memory();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  int calls = 20'000;
  std::string python;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--calls") calls = std::max(8, std::atoi(argv[i + 1]));
    if (std::string(argv[i]) == "--python") python = argv[i + 1];
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  try {
    return run(calls, python);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
