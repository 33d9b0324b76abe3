// A ChatModel in this process: messages through the model's chat template into a TokenEngine, tokens back into text.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/llm/chat_model.h"
#include "kinglet/llm/cost.h"
#include "kinglet/models/decoder/token_engine.h"
#include "kinglet/text/chat_template.h"
#include "kinglet/text/token_bytes.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {

// What a local model is made of; the command line gets it from the LibTorch module.
struct LocalEngine {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat_template;  // must be there
  std::vector<TokenId> eos;                   // any of them ends a reply
  std::shared_ptr<TokenEngine> engine;        // last: it ends first
  std::string name;                           // of the model
};

// Nothing is billed, so there is no ledger; the engine batches what is open at once. A request's seed, or its `sample`
// where it has none, decides what is drawn; the temperature is 1 where it says nothing, as at the usual endpoints.
// Not offered: json_schema, top_log_probs above 20, fields in `extra` other than top_k, min_p and repetition_penalty;
// a request that needs them fails with a clear error in its reply, and so does one that is too long.
class LocalModel : public ChatModel {
 public:
  // `meter` counts the calls; it may be missing and must outlive the model. Raises Error (bad input) for a model
  // without a chat template.
  explicit LocalModel(LocalEngine parts, CostMeter* meter = nullptr);
  ~LocalModel() override;  // cancels what is open; no callback comes any more

  CallId submit(ChatRequest request, ChatCallbacks callbacks) override;
  void cancel(CallId call) override;
  bool poll(std::chrono::milliseconds wait) override;
  std::size_t open_calls() const override { return calls_.size(); }
  std::string_view name() const override { return parts_.name; }

 private:
  struct Call;
  struct Events;

  TokenRequest token_request(const ChatRequest& request) const;
  void take_tokens(Call& call, const std::vector<EngineToken>& tokens);
  void end(CallId id, const SequenceResult& result);
  void end_with(CallId id, ChatReply reply);

  LocalEngine parts_;
  CostMeter* meter_;
  std::unique_ptr<const TokenBytes> bytes_;
  std::shared_ptr<Events> events_;  // shared with the engine's thread
  std::map<CallId, std::unique_ptr<Call>> calls_;
  CallId next_ = 1;
};

}  // namespace kinglet
