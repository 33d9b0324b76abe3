// The endpoints: what comes in as HTTP goes to the engine, and its tokens come back as answers.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kinglet/models/decoder/token_engine.h"
#include "kinglet/serve/api_request.h"
#include "kinglet/serve/completion_job.h"
#include "kinglet/serve/http_server.h"
#include "kinglet/serve/metrics.h"
#include "kinglet/text/chat_template.h"

namespace kinglet {

struct ServedModel {
  std::string name;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat_template;  // without one, chat is refused
  std::vector<TokenId> eos;
};

struct ApiOptions {
  std::string api_key;               // empty: none is asked for
  std::string allowed_origin;        // of web pages from elsewhere; "*": any; empty: none
  std::int64_t max_tokens = 0;       // most new tokens of an answer; 0: as many as the model has positions
  std::int64_t max_sequences = 128;  // at work and waiting; more are refused with a 429
  bool loopback = true;              // pages reach the server under names of this machine only
};

class ApiService {
 public:
  // The engine must outlive it.
  ApiService(TokenEngine& engine, ServedModel model, ApiOptions options);
  ~ApiService();

  // For HttpServer, which must end before the service does.
  void handle(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange);
  std::pair<HttpFields, std::string> refusal(int status, std::string_view message);
  void set_server(const HttpServer* server) { server_ = server; }  // for its gauges

  // From now on requests for text get a 503. Waits until those at work have ended; false when time ran out first.
  bool drain(std::chrono::milliseconds time);
  void cancel_all();
  std::int64_t open_sequences() const { return open_sequences_; }
  const ServeMetrics& metrics() const { return metrics_; }

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
  HttpFields common_fields(const HttpRequest& request) const;
  Answer answer_get(const HttpRequest& request, const std::string& path) const;
  Json model_json() const;

  void complete_chat(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange);
  void complete_text(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange);
  CompletionJob::Plan plan_of(const GenerationRequest& asked, std::vector<std::vector<TokenId>> prompts,
                              const char* prompt_field) const;
  void check_model(const GenerationRequest& asked) const;
  void run(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange, const GenerationRequest& asked,
           CompletionJob::Plan plan, bool chat);
  void admit(std::int64_t sequences);

  TokenEngine& engine_;
  const ServedModel model_;
  const ApiOptions options_;
  const std::string fingerprint_;
  const std::int64_t created_;
  const HttpServer* server_ = nullptr;
  ServeMetrics metrics_;
  std::atomic<std::int64_t> open_sequences_ = 0;
  std::atomic<bool> draining_ = false;
  std::mutex mutex_;  // guards jobs_
  std::set<std::weak_ptr<CompletionJob>, std::owner_less<>> jobs_;
};

}  // namespace kinglet
