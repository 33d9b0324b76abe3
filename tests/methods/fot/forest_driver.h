// Runs a forest against a function, with replies in a chosen order.
#pragma once

#include <functional>
#include <vector>

#include "kinglet/base/rng.h"
#include "kinglet/methods/fot/forest.h"

namespace kinglet::fot {

using Answerer = std::function<ChatReply(const ChatRequest&)>;

// `shuffle` 0: in the order of the calls. Every call that is made is also appended to `log`.
inline ForestResult run_forest(const Question& question, Task task, const ForestSettings& settings,
                               const Answerer& answer, std::uint64_t shuffle = 0, const ExampleBase& examples = {},
                               std::vector<ChatRequest>* log = nullptr) {
  Forest forest(question, task, settings, examples);
  Rng rng(shuffle);
  std::vector<ForestCall> open;
  for (int guard = 0; !forest.ended() && guard < 100000; ++guard) {
    for (ForestCall& call : forest.take_calls()) {
      if (log != nullptr) log->push_back(call.request);
      open.push_back(std::move(call));
    }
    if (open.empty()) break;
    const std::size_t at = shuffle == 0 ? 0 : rng.below(open.size());
    const ForestCall call = open[at];
    open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
    forest.deliver(call.number, answer(call.request));
  }
  return forest.result();
}

}  // namespace kinglet::fot
