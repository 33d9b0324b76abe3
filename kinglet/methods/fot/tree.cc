#include "kinglet/methods/fot/tree.h"

#include <fmt/format.h>

#include "kinglet/methods/fot/answer_text.h"

namespace kinglet::fot {
namespace {

std::optional<Confidence> reply_confidence(const ChatReply& reply) {
  std::vector<double> log_probs;
  for (const TokenLogProb& token : reply.log_probs) log_probs.push_back(token.log_prob);
  return confidence_of(log_probs);
}

}  // namespace

ChatRequest make_request(const TreeContext& context, std::string_view role, Messages messages) {
  ChatRequest request;
  request.messages = std::move(messages);
  request.role = std::string(role);
  request.temperature = context.settings.temperature;
  request.top_p = context.settings.top_p;
  request.max_tokens = context.settings.max_tokens;
  request.stop = context.settings.stop_texts;
  return request;
}

Generation read_generation(const ChatReply& reply) {
  if (!reply.done())
    return {{}, {}, fmt::format("call failed: {}", reply.error.empty() ? name_of(reply.status) : reply.error)};
  Generation generation{without_thinking(reply.text), reply_confidence(reply), {}};
  if (reply.finish_reason == FinishReason::kLength)
    generation.failure = "truncated";
  else if (reply.finish_reason == FinishReason::kContentFilter || !reply.refusal.empty() || is_refusal(generation.text))
    generation.failure = generation.text.empty() ? "empty" : "refused";
  return generation;
}

Search<Generation> generate(TreeContext& context, ChatRequest request) {
  ChatRequest again = request;
  const ChatReply reply = co_await context.board.ask(std::move(request));
  Generation generation = read_generation(reply);
  if (generation.failure.empty() || !reply.done()) co_return generation;
  again.max_tokens = 2 * again.max_tokens.value_or(context.settings.max_tokens);
  const ChatReply second = co_await context.board.ask(std::move(again));
  generation = read_generation(second);
  co_return generation;
}

Search<Corrected> correct_answer(TreeContext& context, Generation answer) {
  Corrected corrected;
  corrected.answer = std::move(answer);
  if (!context.settings.correction || !corrected.answer.failure.empty()) co_return corrected;
  const Generation& old = corrected.answer;
  const std::vector<std::string> faults = rule_faults(context.task, old.text);
  const bool unsure = old.confidence && old.confidence->value < context.settings.tau;
  if (!unsure && faults.empty()) co_return corrected;
  Messages prompt = context.task == Task::kGame24 && context.settings.compact_prompts
                        ? solve_prompt(context.numbers)
                        : correct_prompt(context.task, context.question.text, old.text, faults, context.example);
  ChatRequest request = make_request(context, "correct", std::move(prompt));
  request.log_probs = true;
  const ChatReply reply = co_await context.board.ask(std::move(request));
  Generation fresh = read_generation(reply);
  const std::string_view reason = unsure ? "unsure" : "faults";
  if (!fresh.failure.empty()) {
    corrected.note = fmt::format("{}: asked again, {}", reason, fresh.failure);
    co_return corrected;
  }
  const std::size_t fresh_faults = rule_faults(context.task, fresh.text).size();
  const bool both_sure = old.confidence && fresh.confidence;
  corrected.accepted = both_sure && unsure ? fresh.confidence->mean_log_prob > old.confidence->mean_log_prob
                                           : fresh_faults < faults.size();
  corrected.note =
      both_sure ? fmt::format("{}: confidence {:.3f} to {:.3f}", reason, old.confidence->value, fresh.confidence->value)
                : fmt::format("{}: {} faults to {}", reason, faults.size(), fresh_faults);
  corrected.note += corrected.accepted ? ", taken" : ", not taken";
  if (corrected.accepted) corrected.answer = std::move(fresh);
  co_return corrected;
}

void conclude(const TreeContext& context, TreeResult& result, const Generation& answer) {
  result.text = answer.text;
  if (answer.confidence) result.confidence = answer.confidence->value;
  if (!answer.failure.empty()) {
    result.stop_reason = answer.failure;
    return;
  }
  result.label = label_of(context.task, answer.text);
  result.stop_reason = result.label ? "answered" : "no answer in the text";
  const auto solved = solves(context.task, context.question, answer.text);
  if (solved) {
    result.claimed = result.label.has_value();
    result.verified = *solved;
    if (!*solved) result.stop_reason = "wrong by its own arithmetic";
    if (*solved) result.stop_reason = "solved";
  }
  result.active = result.label && solved.value_or(true);
  if (!result.active) result.label.reset();
}

Search<TreeResult> grow_tree(TreeContext& context) {
  switch (context.settings.base) {
    case Base::kIo:
    case Base::kCot:
      return grow_answer_tree(context);
    case Base::kMctsr:
      return grow_refinement_tree(context);
    case Base::kTotBfs:
    case Base::kTotDfs:
      break;
  }
  return context.task == Task::kGame24 ? grow_game24_tree(context) : grow_step_tree(context);
}

}  // namespace kinglet::fot
