// A model that answers by a function: for tests and for trying out a method without a model.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "kinglet/llm/chat_model.h"

namespace kinglet {

class ScriptedModel : public ChatModel {
 public:
  // The reply to a request. An empty usage is filled in with the words of the messages and of the text.
  using Script = std::function<ChatReply(const ChatRequest& request)>;

  struct Options {
    std::string name = "scripted";
    std::size_t replies_per_poll = 64;  // how many calls a poll() ends
    // Calls that wait end in an order drawn with this seed; 0: in the order in which they were submitted.
    std::uint64_t shuffle_seed = 0;
  };

  explicit ScriptedModel(Script script);
  ScriptedModel(Script script, Options options);
  // Answers every call with this text.
  static ScriptedModel saying(std::string text);

  CallId submit(ChatRequest request, ChatCallbacks callbacks) override;
  void cancel(CallId call) override;
  bool poll(std::chrono::milliseconds wait) override;
  std::size_t open_calls() const override { return calls_.size(); }
  std::string_view name() const override { return options_.name; }

  std::size_t answered() const { return answered_; }

 private:
  struct Call {
    ChatRequest request;
    ChatCallbacks callbacks;
    std::chrono::steady_clock::time_point start;
    bool cancelled = false;
  };
  void end_next();

  Script script_;
  Options options_;
  std::map<CallId, Call> calls_;
  CallId next_ = 1;
  std::size_t answered_ = 0;
};

// A finished reply with this text and finish reason stop.
ChatReply reply_saying(std::string text);

}  // namespace kinglet
