// A loopback server that speaks the OpenAI chat protocol and misbehaves as told: for tests, benchmarks and trying out a
// method without a model. One thread of its own serves any number of connections.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "kinglet/llm/mock_script.h"

namespace kinglet {

struct MockStatistics {
  std::uint64_t requests = 0;  // whole requests that came
  std::uint64_t accepted = 0;  // of them, those that a provider would bill
  std::uint64_t answered = 0;  // answers sent to their end
  std::uint64_t limited = 0;   // 429
  std::uint64_t given_up = 0;  // the client closed the connection before the answer's end
  std::uint64_t connections = 0;
  std::uint64_t most_at_once = 0;                  // accepted calls
  std::uint64_t billed_tokens = 0;                 // of accepted calls: prompt and reply
  std::map<std::string, int> accepted_by_message;  // the last message of a request -> how often it was accepted
};

class MockServer {
 public:
  // Listens at once. `port` 0: any free one. Raises Error (failed) when the port is taken.
  explicit MockServer(MockOptions options, int port = 0, const std::string& host = "127.0.0.1");
  ~MockServer();  // closes every connection
  MockServer(const MockServer&) = delete;
  MockServer& operator=(const MockServer&) = delete;

  int port() const;
  std::string base_url() const;           // http://127.0.0.1:PORT/v1
  MockStatistics statistics() const;      // thread-safe
  void set_options(MockOptions options);  // thread-safe; for requests that come later

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace kinglet
