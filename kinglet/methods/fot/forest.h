// A forest: several trees on one question, a vote that ends as early as it can, and an expert where it is a tie.
//
// A state machine without a model: take_calls() says what to ask, deliver() takes the replies in any order. The result
// depends on the replies alone, not on their order: trees are counted in the order of their numbers, and what a stopped
// tree had asked does not count. Knows no right answers. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kinglet/methods/fot/call_cost.h"
#include "kinglet/methods/fot/examples.h"
#include "kinglet/methods/fot/forest_settings.h"
#include "kinglet/methods/fot/tree.h"
#include "kinglet/methods/fot/vote.h"

namespace kinglet::fot {

struct ForestCall {
  std::uint64_t number = 0;
  bool for_expert = false;
  int tree = -1;  // that asks; -1: the decision
  ChatRequest request;
};

struct ForestResult {
  std::string status;      // "answered", "no_answer", "budget" (answered or not, with what there was)
  std::string decided_by;  // "solved", "vote", "only tree", "expert", "first tree", "score", "random", "fallback"
  std::string text;        // the answer in full
  std::optional<std::string> label;
  int planned = 0;
  std::vector<TreeResult> trees;  // those that count
  std::vector<CallCost> costs;    // of each of them
  CallCost decision_cost;         // of the expert and the fallback
  CallCost late;                  // calls of trees that were stopped: paid for nothing
  Tally votes;
  std::string expert_text;

  CallCost total() const;  // late ones included
  bool budget_reached = false;
};

class Forest {
 public:
  // `examples` may be empty and must outlive the forest. Raises Error (bad input) for settings or a question that make
  // no sense.
  Forest(Question question, Task task, ForestSettings settings, const ExampleBase& examples);
  ~Forest();
  Forest(const Forest&) = delete;
  Forest& operator=(const Forest&) = delete;

  std::vector<ForestCall> take_calls();
  std::vector<std::uint64_t> take_cancelled();  // calls whose replies are of no use any more; they may still come
  void deliver(std::uint64_t number, ChatReply reply);

  bool ended() const;
  const ForestResult& result() const;  // after the end
  const Question& question() const;
  int trees_started() const;

  // For who looks on while it runs. What is pointed to stays until the next deliver().
  struct TreeView {
    const TreeResult* tree = nullptr;  // its thoughts so far; nullptr: stopped, it does not count
    bool ended = false;
  };
  TreeView look_at(int tree) const;  // one of trees_started()
  const Tally& votes() const;        // of the trees that ended and count

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace kinglet::fot
