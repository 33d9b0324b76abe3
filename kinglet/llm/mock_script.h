// What the mock server does with a request: a function of the request's bytes, of how often they came, and of a seed,
// so that a run can be repeated. Texts depend on the request alone, so that an interrupted run must end like a whole
// one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

enum class MockFault {
  kNone,
  kRateLimit,     // 429 with Retry-After; not accepted
  kServerError,   // 500; not accepted
  kReset,         // accepted, then the connection is reset without an answer
  kCut,           // accepted, the connection closes in the middle of the answer
  kMalformed,     // accepted, the answer is damaged JSON
  kEmptyChoices,  // accepted, the answer holds no choice
  kErrorInside,   // accepted, 200, then an error object in place of the rest
  kHang,          // accepted, never answered
};
inline constexpr int kMockFaults = 9;
std::string_view name_of(MockFault fault);  // "none", "rate-limit" ...

struct MockRequest {
  std::string id;      // of the body: XXH3 in hex
  int occurrence = 0;  // how often this body came before
  bool stream = false;
  bool include_usage = false;
  bool log_probs = false;
  std::int64_t max_tokens = 0;     // 0: not given
  std::int64_t prompt_tokens = 0;  // words, and 4 a message
  std::string last_message;
};
// Raises Error (bad input) for a body that is no chat request.
MockRequest parse_mock_request(std::string_view body);

// What will happen to one request.
struct MockPlan {
  MockFault fault = MockFault::kNone;
  std::vector<std::string> tokens;
  bool cut_short = false;                    // finish reason length
  std::chrono::milliseconds latency{0};      // before the first byte
  std::chrono::milliseconds token_delay{0};  // between the events of a stream
  std::size_t bytes_at_once = 0;  // more than 0: the answer drips in pieces of that size, `token_delay` apart
};

struct MockOptions {
  std::string model = "mock";
  std::string api_key{};  // when set, other keys get a 401 that repeats them
  std::uint64_t seed = 1;
  int tokens = 8;  // in a reply, unless max_tokens is less
  std::chrono::milliseconds latency{0};
  std::chrono::milliseconds token_delay{0};
  std::size_t bytes_at_once = 0;
  std::map<MockFault, double> rates{};  // how often each fault happens, together at most 1
  int max_faults_a_request = 1 << 30;   // the same body is then served without fault
  int max_concurrent = 0;               // more calls at once get a 429; 0: no limit
  double retry_after_seconds = 0;       // in each 429; 0: none is sent
  // When set, decides in place of the rates.
  std::function<MockPlan(const MockRequest& request, MockPlan plan)> script{};
};

MockPlan plan_for(const MockRequest& request, const MockOptions& options);

// The answer's body, whole or as the events of a stream.
std::string mock_document(const MockRequest& request, const MockPlan& plan, const MockOptions& options);
std::vector<std::string> mock_events(const MockRequest& request, const MockPlan& plan, const MockOptions& options);

}  // namespace kinglet
