// What every server of the API does around its answers: keys, origins, errors, the page, its models and its metrics.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "kinglet/serve/http_server.h"
#include "kinglet/serve/metrics.h"
#include "kinglet/serve/reasoning_limits.h"
#include "kinglet/text/json_text.h"

namespace kinglet {

struct ApiOptions {
  std::string api_key;               // empty: none is asked for
  std::string allowed_origin;        // of web pages from elsewhere; "*": any; empty: none
  std::int64_t max_tokens = 0;       // most new tokens of an answer; 0: as many as the model has positions
  std::int64_t max_sequences = 128;  // at work and waiting; more are refused with a 429
  bool loopback = true;              // pages reach the server under names of this machine only
  ReasoningLimits reasoning;
};

class ApiFrame {
 public:
  explicit ApiFrame(ApiOptions options);
  virtual ~ApiFrame() = default;
  ApiFrame(const ApiFrame&) = delete;
  ApiFrame& operator=(const ApiFrame&) = delete;

  // For HttpServer, which must end before the service does.
  void handle(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange);
  std::pair<HttpFields, std::string> refusal(int status, std::string_view message);
  void set_server(const HttpServer* server) { server_ = server; }  // for its gauges

  // From now on requests for text get a 503. Waits until those at work have ended; false when time ran out first.
  bool drain(std::chrono::milliseconds time);
  virtual void cancel_all() = 0;
  virtual std::int64_t open_sequences() const = 0;  // that clients wait for; of a forest: one
  const ServeMetrics& metrics() const { return metrics_; }

 protected:
  // Answers a request for text, at once or later. Raises ApiError.
  virtual void complete_chat(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) = 0;
  virtual void complete_text(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) = 0;
  virtual Json models() const = 0;  // a list of {"id", ...}
  virtual EngineState engine_state() const { return {}; }
  virtual std::int64_t open_forests() const = 0;

  const ApiOptions& options() const { return options_; }
  std::int64_t created() const { return created_; }
  bool draining() const { return draining_; }
  HttpFields common_fields(const HttpRequest& request) const;
  // Counts and logs the end of a POST. `status` 0: the client left before the answer began.
  void count_end(bool chat, int status);

  ServeMetrics metrics_;

 private:
  struct Answer {
    int status = 200;
    std::string type = "application/json";
    std::string body;
    HttpFields fields;
  };

  std::string route(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange);
  void send(HttpExchange& exchange, Answer answer, const HttpRequest& request);
  void check_key(const HttpRequest& request) const;
  void check_origin(const HttpRequest& request) const;
  Answer answer_get(const std::string& path) const;

  const ApiOptions options_;
  const std::int64_t created_;  // seconds since 1970
  const HttpServer* server_ = nullptr;
  std::atomic<bool> draining_ = false;
};

std::int64_t unix_seconds();
// 64 random bits, not from a sequence that a client could go on with.
std::uint64_t random_number();
std::string reply_id(bool chat);  // "chatcmpl-..." or "cmpl-..."

}  // namespace kinglet
