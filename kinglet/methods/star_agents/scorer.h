// A scorer: a language model that says how likely it finds a response, with and without the instruction.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kinglet/llm/chat_request.h"
#include "kinglet/methods/star_agents/dual_score.h"

namespace kinglet::star_agents {

struct ScoreItem {
  std::vector<ChatMessage> context;  // ends with the instruction
  std::string response;
};

class Scorer {
 public:
  virtual ~Scorer() = default;

  // One result an item, in their order; what cannot be scored says so in its status. Both means run over the same
  // response tokens. A result does not depend on what else is in `items`.
  virtual std::vector<Likelihoods> score(std::span<const ScoreItem> items) = 0;

  virtual std::string name() const = 0;  // the model and everything that changes its scores
};

}  // namespace kinglet::star_agents
