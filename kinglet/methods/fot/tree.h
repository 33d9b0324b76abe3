// One tree of a forest: what it is given, and what comes of it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/methods/fot/confidence.h"
#include "kinglet/methods/fot/forest_settings.h"
#include "kinglet/methods/fot/prompts.h"
#include "kinglet/methods/fot/search.h"
#include "kinglet/methods/fot/task.h"

namespace kinglet::fot {

// A thought of a tree, in the order in which it came up.
struct TraceNode {
  int parent = -1;  // of the same tree
  int layer = 0;
  std::string kind;  // "root", "step", "answer", "refusal", "reflection", "close"
  std::string text;
  std::optional<double> score;
  bool kept = true;        // pruned nodes do not go on
  bool corrected = false;  // by a rule or by asking again
  std::string note;        // why it was dropped, or what was corrected
};

struct TreeResult {
  bool active = false;  // whether it votes
  std::string input;    // the puzzle in the tree's order, or which example stood before the question
  std::string text;     // the answer
  std::optional<std::string> label;
  double score = 0;  // of the answer, on the scale of the base method
  std::optional<double> confidence;
  bool claimed = false;     // game24: 24 was reached by what the model said
  bool verified = false;    // game24: and it is true
  int corrections = 0;      // accepted ones
  int lines_dropped = 0;    // by rules
  int unreadable = 0;       // scores and values that could not be read
  std::string stop_reason;  // "answered", "solved", "no valid node", "refused", "truncated", "call failed: ..."
  std::vector<TraceNode> nodes;
};

// What a tree works with; everything outlives it.
struct TreeContext {
  CallBoard& board;
  Task task;
  const Question& question;
  const ForestSettings& settings;
  int tree = 0;
  std::vector<Rational> numbers;           // game24, in this tree's order
  const SolvedExample* example = nullptr;  // before the question
  const TreeResult* growing = nullptr;     // set by the tree: what it has so far, for who looks on while it runs
};

Search<TreeResult> grow_tree(TreeContext& context);  // by settings.base

// The bases.
Search<TreeResult> grow_answer_tree(TreeContext& context);      // io, cot
Search<TreeResult> grow_step_tree(TreeContext& context);        // tot over text, breadth or depth first
Search<TreeResult> grow_refinement_tree(TreeContext& context);  // mctsr
Search<TreeResult> grow_game24_tree(TreeContext& context);      // tot over the steps of game24

// A text of the model that can be used, or why there is none.
struct Generation {
  std::string text;  // without thinking
  std::optional<Confidence> confidence;
  std::string failure;  // empty when valid
};

// A request in the run's style. `role` is what costs are summed by.
ChatRequest make_request(const TreeContext& context, std::string_view role, Messages messages);
Generation read_generation(const ChatReply& reply);

// Asks, and once more with room for twice the tokens where the reply is empty, a refusal or cut off.
Search<Generation> generate(TreeContext& context, ChatRequest request);

// Dynamic self-correction of an answer: below the confidence tau, or where rules find a fault, it is asked for once
// more; the new one is kept when its confidence is higher, or, without log-probabilities, when it has fewer faults.
struct Corrected {
  Generation answer;
  bool accepted = false;
  std::string note;  // what was tried
};
Search<Corrected> correct_answer(TreeContext& context, Generation answer);

// The result of a tree that ends in an answer text: label, verification, activation.
void conclude(const TreeContext& context, TreeResult& result, const Generation& answer);

}  // namespace kinglet::fot
