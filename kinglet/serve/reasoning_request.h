// What a client asks of a forest of reasoning trees: a chat request with the field `reasoning`, or for "fot-<name>".
#pragma once

#include <string>
#include <string_view>

#include "kinglet/methods/fot/forest_settings.h"
#include "kinglet/methods/fot/task.h"
#include "kinglet/serve/api_request.h"
#include "kinglet/serve/reasoning_limits.h"

namespace kinglet {

// The name under which clients ask for forests over a model: "fot-" and its name.
std::string forest_name(std::string_view model);

struct ReasoningRequest {
  fot::Task task = fot::Task::kGeneric;
  fot::Question question;
  fot::ForestSettings settings;
  bool trace = false;  // the client wants to see the trees
  bool stream = false;
  bool include_usage = false;
};

// The field `reasoning` may be missing: then everything is as `kinglet reason` has it, and a plain call answers where
// no tree does. The question is the last message of the user; what was said before stands before it as text. Raises
// ApiError 400 with the path of the field: a key that is not known (with the one that may be meant), a value out of
// range, a field of the request that a forest cannot heed (n, stop, logprobs ...).
// `max_tokens`: the most new tokens of a call, 0: no limit of the server's.
ReasoningRequest read_reasoning(const ChatCompletionRequest& asked, const ReasoningLimits& limits,
                                std::int64_t max_tokens);

}  // namespace kinglet
