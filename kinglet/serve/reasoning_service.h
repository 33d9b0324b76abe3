// Forests at work for the clients of a server, on one thread of their own: whoever answers them is asked from there.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "kinglet/llm/chat_model.h"
#include "kinglet/methods/fot/call_cost.h"
#include "kinglet/serve/api_reply.h"
#include "kinglet/serve/http_exchange.h"
#include "kinglet/serve/reasoning_limits.h"
#include "kinglet/serve/reasoning_request.h"

namespace kinglet {

class ReasoningJob;

class ReasoningService {
 public:
  // Called once a forest, before its answer comes to its end; on the service's thread. `status`: of the answer; 0 when
  // the client left before it began.
  using Ended = std::function<void(int status, const fot::CallCost& cost)>;

  // The model must outlive the service and is used by its thread alone.
  ReasoningService(ChatModel& model, ReasoningLimits limits);
  ~ReasoningService();  // breaks off what is open, with an error for its client

  // The answer goes to the exchange; when its client goes away, the forest's calls are cancelled. Raises ApiError: 429
  // when too many forests are open, 400 for a question that the task cannot have.
  void start(ReasoningRequest request, std::shared_ptr<HttpExchange> exchange, ReplyFormat format, HttpFields fields,
             Ended ended);
  void cancel_all();  // each with an error for its client, and so every one that still comes
  std::int64_t open() const { return open_; }

 private:
  void run();

  ChatModel& model_;
  const ReasoningLimits limits_;
  std::atomic<std::int64_t> open_ = 0;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<std::shared_ptr<ReasoningJob>> new_jobs_;
  bool ending_ = false;
  std::atomic<bool> cancelling_ = false;
  std::vector<std::shared_ptr<ReasoningJob>> jobs_;  // of the thread alone
  std::thread thread_;
};

}  // namespace kinglet
