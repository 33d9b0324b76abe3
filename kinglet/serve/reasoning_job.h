// One forest on its way to a client: its calls, what the client sees of it, and its merged answer.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "kinglet/llm/chat_model.h"
#include "kinglet/methods/fot/examples.h"
#include "kinglet/methods/fot/forest.h"
#include "kinglet/methods/fot/forest_watch.h"
#include "kinglet/serve/api_reply.h"
#include "kinglet/serve/http_exchange.h"
#include "kinglet/serve/reasoning_request.h"

namespace kinglet {

// All but watch_client() on one thread, which also polls the model.
class ReasoningJob : public std::enable_shared_from_this<ReasoningJob> {
 public:
  using Ended = std::function<void(int status, const fot::CallCost& cost)>;

  // Raises Error (bad input) for a question that the task cannot have.
  ReasoningJob(ReasoningRequest request, std::shared_ptr<HttpExchange> exchange, ReplyFormat format, HttpFields fields,
               Ended ended);

  // From now on a client that goes away ends the forest.
  void watch_client();
  // Asks what is to be asked, tells the client what is new, and answers when all is there.
  void step(ChatModel& model);
  // Ends it with an error, when its open calls have been taken back.
  void break_off(int status, std::string message);
  bool over() const { return over_; }  // no callback will come any more

 private:
  void ask(ChatModel& model);
  void take(std::uint64_t number, ChatReply reply);
  void show(const Json& event);
  void begin_stream();
  void finish();
  void answer();
  void answer_with_error();
  std::string text() const;
  Json trace() const;
  int final_status() const;

  const ReasoningRequest request_;
  const std::shared_ptr<HttpExchange> exchange_;
  const ReplyFormat format_;
  const HttpFields fields_;
  const Ended ended_;
  const fot::ExampleBase examples_;
  fot::Forest forest_;
  fot::ForestWatch watch_;
  std::map<std::uint64_t, CallId> open_;  // by the forest's number
  fot::CallCost spent_;                   // calls so far
  std::string last_failure_;              // of a call
  int error_status_ = 0;
  std::string error_;
  bool begun_ = false, cancelled_ = false, over_ = false;
  std::atomic<bool> client_gone_ = false;
  std::chrono::steady_clock::time_point last_write_;
};

}  // namespace kinglet
