// ChatModel: one interface to "a model that answers": an endpoint, a replay, a script, the local engine.
//
// Everything happens on the thread that calls poll(); there are no locks. submit() only queues a call; poll() makes
// progress and runs the callbacks of calls that advanced. Callbacks may submit and cancel calls; they must not throw
// and must not call poll(). Thousands of calls may be open at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "kinglet/llm/chat_reply.h"
#include "kinglet/llm/chat_request.h"

namespace kinglet {

using CallId = std::uint64_t;

struct ChatCallbacks {
  // Optional. Pieces of the text as they arrive, whole UTF-8 characters. A call that is sent again begins anew, so
  // pieces are a preview: only `on_reply` counts.
  std::function<void(std::string_view piece)> on_text{};
  // Required. Called exactly once a call, also for one that failed or was cancelled.
  std::function<void(ChatReply reply)> on_reply{};
};

class ChatModel {
 public:
  virtual ~ChatModel() = default;

  // Queues a call; on_reply comes from a later poll(), never from inside submit(). Raises Error (bad input) for a
  // request that no model could answer (check_request); every other trouble arrives in the reply.
  virtual CallId submit(ChatRequest request, ChatCallbacks callbacks) = 0;

  // Ends an open call with kCancelled at the next poll(); a connection is closed at once, so that a server can stop.
  // Does nothing for a call that has ended.
  virtual void cancel(CallId call) = 0;

  // Makes progress, waiting up to `wait` for something to happen. Returns whether calls are still open.
  virtual bool poll(std::chrono::milliseconds wait) = 0;

  virtual std::size_t open_calls() const = 0;
  virtual std::string_view name() const = 0;  // the model's name; part of cache keys
};

// Blocking forms: submit, poll until all have ended, return the replies in the order of the requests. Raises Error
// (interrupted) after cancelling what is open when SIGINT or SIGTERM arrives.
ChatReply complete(ChatModel& model, ChatRequest request);
std::vector<ChatReply> complete_all(ChatModel& model, std::span<const ChatRequest> requests);

// Polls several models until none has an open call.
void poll_until_idle(std::span<ChatModel* const> models);

}  // namespace kinglet
