// The smallest trees: one answer, with or without reasoning, corrected where it looks wrong.
#include "kinglet/methods/fot/tree.h"

namespace kinglet::fot {
namespace {

// A model that was trained on the steps knows one form of question; it sees the tree's own order of the numbers.
Messages question_prompt(const TreeContext& context) {
  if (context.task == Task::kGame24 && context.settings.compact_prompts) return solve_prompt(context.numbers);
  const bool reasoning = context.settings.base == Base::kCot;
  return answer_prompt(context.task, context.question.text, context.example, reasoning);
}

}  // namespace

Search<TreeResult> grow_answer_tree(TreeContext& context) {
  TreeResult result;
  context.growing = &result;
  Messages prompt = question_prompt(context);
  ChatRequest request = make_request(context, "answer", std::move(prompt));
  request.log_probs = context.settings.correction;
  Generation answer = co_await generate(context, std::move(request));
  result.nodes.push_back({-1, 0, "answer", answer.text, {}, answer.failure.empty(), false, answer.failure});
  Corrected corrected = co_await correct_answer(context, std::move(answer));
  if (!corrected.note.empty()) {
    result.nodes[0].note = corrected.note;
    if (corrected.accepted) {
      result.nodes[0].kept = false;
      result.nodes.push_back({0, 1, "answer", corrected.answer.text, {}, true, true, "corrected"});
      ++result.corrections;
    }
  }
  conclude(context, result, corrected.answer);
  result.score = result.confidence.value_or(0);
  result.nodes.back().score = result.confidence;
  co_return result;
}

}  // namespace kinglet::fot
