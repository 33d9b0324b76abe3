// The endpoints: what comes in as HTTP goes to the engine, and its tokens come back as answers.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kinglet/llm/local_model.h"
#include "kinglet/models/decoder/token_engine.h"
#include "kinglet/serve/api_error.h"
#include "kinglet/serve/api_frame.h"
#include "kinglet/serve/api_request.h"
#include "kinglet/serve/completion_job.h"
#include "kinglet/serve/reasoning_service.h"
#include "kinglet/text/chat_template.h"

namespace kinglet {

struct ServedModel {
  std::string name;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat_template;  // without one, chat is refused
  std::vector<TokenId> eos;
};

class ApiService : public ApiFrame {
 public:
  // The engine must outlive it.
  ApiService(TokenEngine& engine, ServedModel model, ApiOptions options);
  ~ApiService() override;

  void cancel_all() override;
  std::int64_t open_sequences() const override { return open_sequences_ + open_forests(); }

 private:
  void complete_chat(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) override;
  void complete_text(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) override;
  Json models() const override;
  EngineState engine_state() const override { return engine_.state(); }
  std::int64_t open_forests() const override { return reasoning_ ? reasoning_->open() : 0; }

  void reason(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
              const ChatCompletionRequest& asked);
  CompletionJob::Plan plan_of(const GenerationRequest& asked, std::vector<std::vector<TokenId>> prompts,
                              const char* prompt_field) const;
  ReplyFormat::Setting reply_setting(const GenerationRequest& asked, bool chat) const;
  ApiError too_many_tokens(const GenerationRequest& asked) const;
  void check_model(const GenerationRequest& asked) const;
  void run(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange, const GenerationRequest& asked,
           CompletionJob::Plan plan, bool chat);
  void admit(std::int64_t sequences);

  TokenEngine& engine_;
  const ServedModel model_;
  const std::string fingerprint_;
  std::atomic<std::int64_t> open_sequences_ = 0;
  std::mutex mutex_;  // guards jobs_
  std::set<std::weak_ptr<CompletionJob>, std::owner_less<>> jobs_;
  // Forests ask the same engine; nothing without a chat template.
  std::unique_ptr<LocalModel> local_;
  std::unique_ptr<ReasoningService> reasoning_;
};

}  // namespace kinglet
