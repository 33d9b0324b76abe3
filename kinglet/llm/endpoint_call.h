// One call on its way through an endpoint; internal to EndpointModel.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/llm/chat_model.h"
#include "kinglet/llm/cost.h"
#include "kinglet/llm/http_client.h"
#include "kinglet/llm/reply_reader.h"
#include "kinglet/llm/retry_policy.h"

namespace kinglet {

class EndpointCall final : public HttpReceiver {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // Where calls put themselves when something arrived for them.
  struct Inbox {
    std::vector<EndpointCall*> with_text;
    std::vector<EndpointCall*> over;  // the attempt has ended
  };
  enum class State { kReplay, kWaiting, kElsewhere, kPausing, kSent, kEnded };

  EndpointCall(CallId call_id, ChatRequest asked, ChatCallbacks to_call, Inbox& where, Time now)
      : id(call_id), request(std::move(asked)), callbacks(std::move(to_call)), submitted(now), inbox_(where) {}

  // Forgets what an earlier attempt left.
  void begin_attempt(Time now, std::size_t max_body_bytes, bool keep_raw);

  void on_status(int new_status) override;
  void on_header(std::string_view name, std::string_view value) override;
  void on_bytes(std::string_view bytes) override;
  void on_end(HttpOutcome ended) override;

  const CallId id;
  const ChatRequest request;
  const ChatCallbacks callbacks;
  const Time submitted;
  std::string body;  // of the request
  std::string key;   // in the ledger
  State state = State::kWaiting;
  bool cancelled = false;
  bool claimed = false;                   // in a ledger that is shared
  std::optional<ReplyStatus> ledger_end;  // how it ends without being sent again, when not with a reply
  std::string ledger_error;

  int attempts = 0;     // requests sent so far
  int retries = 0;      // after errors of the server
  int bad_replies = 0;  // answers without a reply
  int doubtful = 0;     // attempts that may have been billed without an answer, in earlier processes too
  int doubtful_resends = 0;
  std::optional<Time> throttled_since;
  std::optional<Time> timer;
  TokenUsage usage;  // of attempts that did not give the reply
  Budget::Amount reserved;
  std::int64_t reserved_tokens = 0;

  // Of the attempt under way, or the last one.
  HttpTransfer* transfer = nullptr;
  Time sent_at{}, last_bytes{};
  int status = 0;
  ResponseHeaders headers;
  std::unique_ptr<ReplyReader> reader;
  std::string raw;           // the body as it came, where it is needed
  std::string pending_text;  // for on_text
  std::optional<HttpOutcome> outcome;

 private:
  Inbox& inbox_;
  bool keep_raw_ = false;
};

}  // namespace kinglet
