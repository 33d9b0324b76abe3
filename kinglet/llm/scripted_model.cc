#include "kinglet/llm/scripted_model.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

std::int64_t words(const std::string& text) {
  std::istringstream stream(text);
  std::int64_t count = 0;
  for (std::string word; stream >> word;) ++count;
  return count;
}

}  // namespace

ChatReply reply_saying(std::string text) {
  ChatReply reply;
  reply.text = std::move(text);
  reply.finish_reason = FinishReason::kStop;
  return reply;
}

ScriptedModel::ScriptedModel(Script script) : ScriptedModel(std::move(script), Options()) {}

ScriptedModel::ScriptedModel(Script script, Options options)
    : script_(std::move(script)), options_(std::move(options)) {}

ScriptedModel ScriptedModel::saying(std::string text) {
  return ScriptedModel([text = std::move(text)](const ChatRequest&) { return reply_saying(text); });
}

CallId ScriptedModel::submit(ChatRequest request, ChatCallbacks callbacks) {
  check_request(request);
  const CallId call = next_++;
  calls_.emplace(call, Call{std::move(request), std::move(callbacks), std::chrono::steady_clock::now()});
  return call;
}

void ScriptedModel::cancel(CallId call) {
  const auto found = calls_.find(call);
  if (found != calls_.end()) found->second.cancelled = true;
}

bool ScriptedModel::poll(std::chrono::milliseconds) {
  // Calls that callbacks submit in this round wait for the next.
  for (std::size_t left = std::min(calls_.size(), options_.replies_per_poll); left > 0 && !calls_.empty(); --left) {
    end_next();
  }
  return !calls_.empty();
}

void ScriptedModel::end_next() {
  auto next = calls_.begin();
  if (options_.shuffle_seed != 0) {
    Rng rng(options_.shuffle_seed + answered_);
    std::advance(next, static_cast<std::ptrdiff_t>(rng.below(calls_.size())));
  }
  Call call = std::move(next->second);
  calls_.erase(next);  // first: the callback may submit and cancel
  ++answered_;
  ChatReply reply;
  if (call.cancelled) {
    reply.status = ReplyStatus::kCancelled;
    reply.error = "cancelled";
  } else {
    reply = script_(call.request);
    reply.attempts = 1;
    if (reply.model.empty()) reply.model = options_.name;
    if (reply.usage == TokenUsage()) {
      for (const ChatMessage& message : call.request.messages) reply.usage.prompt += words(message.content);
      reply.usage.completion = words(reply.text);
    }
    if (call.callbacks.on_text && !reply.text.empty()) call.callbacks.on_text(reply.text);
  }
  reply.seconds = std::chrono::steady_clock::now() - call.start;
  call.callbacks.on_reply(std::move(reply));
}

}  // namespace kinglet
