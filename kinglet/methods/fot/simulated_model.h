// A model made of dice: it answers the prompts of the search with the kinds of mistakes that models make. For trying
// the search out, for tests and for experiments at equal budget; no result with it says anything about a real model.
//
// Replies depend on the request (its seed and text) alone.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "kinglet/llm/chat_reply.h"
#include "kinglet/llm/chat_request.h"
#include "kinglet/methods/fot/task.h"

namespace kinglet::fot {

struct SimulationSettings {
  // Game of 24: steps are drawn with a preference for the numbers that stand first.
  int four_number_lines = 12, three_number_lines = 8;
  double order_bias = 0.55;        // weight of the i-th number is order_bias^i
  double floored_division = 0.07;  // of divisions that leave a rest
  double wrong_left = 0.35;        // one number of the list is wrong
  double wrong_operand = 0.05;     // a number that is not there
  bool perfect_value = false;      // else verdicts are as mixed as measured ones
  // Questions: right with `right`, else one wrong answer that many give, else a wrong one of its own.
  double right = 0.60, attractor = 0.25;
  double spread = 0;            // the chance of a question differs from `right` by up to this
  double refined_right = 0.35;  // a wrong answer becomes right when it is refined
  double refined_wrong = 0.06;  // and a right one wrong
  double expert_right = 0.85;   // where a candidate is right
};

class SimulatedModel {
 public:
  explicit SimulatedModel(SimulationSettings settings = {}) : settings_(settings) {}
  // What it knows, by the text of the question; asked anything else it guesses.
  void teach(Task task, const std::string& question, const std::string& answer);

  ChatReply operator()(const ChatRequest& request) const;

 private:
  ChatReply reply_to(const ChatRequest& request) const;

  struct Known {
    Task task = Task::kGeneric;
    std::string answer;
  };
  SimulationSettings settings_;
  std::map<std::string, Known, std::less<>> known_;
};

}  // namespace kinglet::fot
