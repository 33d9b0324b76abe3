// What calls cost: how many for what, and their tokens.
#pragma once

#include <map>
#include <string>

#include "kinglet/llm/chat_reply.h"
#include "kinglet/text/json_text.h"

namespace kinglet::fot {

struct CallCost {
  std::map<std::string, int> calls;  // by role
  TokenUsage usage;
  int shared = 0;  // replies that another tree of the question had paid for: no call, no tokens
  int failed = 0;  // of the calls

  int total_calls() const;
  void add(const std::string& role, const ChatReply& reply);
  CallCost& operator+=(const CallCost& other);
  bool operator==(const CallCost&) const = default;
};

Json cost_to_json(const CallCost& cost);
CallCost cost_from_json(const Json& json);  // raises Error (bad input)

}  // namespace kinglet::fot
