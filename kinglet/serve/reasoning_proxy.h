// A server that answers chat with forests over a model of somebody else: `kinglet reason serve`.
#pragma once

#include <string>

#include "kinglet/llm/chat_model.h"
#include "kinglet/serve/api_frame.h"
#include "kinglet/serve/reasoning_service.h"

namespace kinglet {

class ReasoningProxy : public ApiFrame {
 public:
  // The upstream must outlive it. Clients know it as forest_name() of its name.
  ReasoningProxy(ChatModel& upstream, ApiOptions options);
  ~ReasoningProxy() override;

  void cancel_all() override { reasoning_.cancel_all(); }
  std::int64_t open_sequences() const override { return reasoning_.open(); }

 private:
  void complete_chat(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) override;
  void complete_text(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) override;
  Json models() const override;
  std::int64_t open_forests() const override { return reasoning_.open(); }

  const std::string upstream_, name_, fingerprint_;
  ReasoningService reasoning_;
};

}  // namespace kinglet
