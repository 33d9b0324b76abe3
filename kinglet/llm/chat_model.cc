#include "kinglet/llm/chat_model.h"

#include <algorithm>
#include <utility>

#include "kinglet/base/interrupt.h"

namespace kinglet {
namespace {

constexpr std::chrono::milliseconds kLongestWait{100};  // so that an interrupt is noticed soon

}  // namespace

ChatReply complete(ChatModel& model, ChatRequest request) {
  return std::move(complete_all(model, std::span(&request, 1)).front());
}

std::vector<ChatReply> complete_all(ChatModel& model, std::span<const ChatRequest> requests) {
  for (const ChatRequest& request : requests) check_request(request);  // before the first of them costs anything
  std::vector<ChatReply> replies(requests.size());
  std::vector<CallId> calls;
  std::size_t open = requests.size();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    calls.push_back(model.submit(requests[i], {.on_text = {}, .on_reply = [&replies, &open, i](ChatReply reply) {
                                                 replies[i] = std::move(reply);
                                                 --open;
                                               }}));
  }
  bool stopping = false;
  while (open > 0) {
    if (interrupted() && !stopping) {
      stopping = true;
      for (const CallId call : calls) model.cancel(call);
    }
    model.poll(kLongestWait);
  }
  check_interrupt();
  return replies;
}

void poll_until_idle(std::span<ChatModel* const> models) {
  for (;;) {
    const auto busy = static_cast<std::size_t>(
        std::ranges::count_if(models, [](const ChatModel* model) { return model->open_calls() > 0; }));
    if (busy == 0) return;
    // Only one model can be waited for; with several, each gets a short turn.
    const std::chrono::milliseconds wait = busy == 1 ? kLongestWait : std::chrono::milliseconds{1};
    for (ChatModel* model : models) {
      if (model->open_calls() > 0) model->poll(wait);
    }
    check_interrupt();
  }
}

}  // namespace kinglet
