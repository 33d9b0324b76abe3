// The smallest trees: one answer, with or without reasoning, corrected where it looks wrong.
#include "kinglet/methods/fot/tree.h"

namespace kinglet::fot {

Search<TreeResult> grow_answer_tree(TreeContext& context) {
  TreeResult result;
  const bool reasoning = context.settings.base == Base::kCot;
  Messages prompt = answer_prompt(context.task, context.question.text, context.example, reasoning);
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
