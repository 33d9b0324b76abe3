#include "kinglet/methods/fot/call_cost.h"

#include "kinglet/base/error.h"

namespace kinglet::fot {

int CallCost::total_calls() const {
  int total = 0;
  for (const auto& [role, count] : calls) total += count;
  return total;
}

void CallCost::add(const std::string& role, const ChatReply& reply) {
  if (reply.status == ReplyStatus::kBudget) return;  // it was not sent
  ++calls[role];
  usage += reply.usage;
  if (!reply.done()) ++failed;
}

CallCost& CallCost::operator+=(const CallCost& other) {
  for (const auto& [role, count] : other.calls) calls[role] += count;
  usage += other.usage;
  shared += other.shared;
  failed += other.failed;
  return *this;
}

Json cost_to_json(const CallCost& cost) {
  Json by_role = Json::object();
  for (const auto& [role, count] : cost.calls) by_role[role] = count;
  return {{"calls", cost.total_calls()},
          {"by_role", by_role},
          {"prompt_tokens", cost.usage.prompt},
          {"cached_prompt_tokens", cost.usage.cached},
          {"completion_tokens", cost.usage.completion},
          {"reasoning_tokens", cost.usage.reasoning},
          {"estimated", cost.usage.estimated},
          {"shared", cost.shared},
          {"failed", cost.failed}};
}

CallCost cost_from_json(const Json& json) {
  try {
    CallCost cost;
    for (const auto& [role, count] : json.at("by_role").items()) cost.calls[role] = count.get<int>();
    cost.usage.prompt = json.at("prompt_tokens").get<std::int64_t>();
    cost.usage.cached = json.at("cached_prompt_tokens").get<std::int64_t>();
    cost.usage.completion = json.at("completion_tokens").get<std::int64_t>();
    cost.usage.reasoning = json.at("reasoning_tokens").get<std::int64_t>();
    cost.usage.estimated = json.at("estimated").get<bool>();
    cost.shared = json.at("shared").get<int>();
    cost.failed = json.at("failed").get<int>();
    return cost;
  } catch (const Json::exception&) {
    throw bad_input("cost", "is not what a run writes");
  }
}

}  // namespace kinglet::fot
