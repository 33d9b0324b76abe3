// What the model is asked in words. The part that is equal from call to call comes first, so that a server can reuse
// it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/llm/chat_request.h"
#include "kinglet/methods/fot/rational.h"
#include "kinglet/methods/fot/task.h"

namespace kinglet::fot {

// A solved question that may stand before the one that is asked.
struct SolvedExample {
  std::string question, answer;
};

using Messages = std::vector<ChatMessage>;

// The question alone (io) or with the request to reason first.
Messages answer_prompt(Task task, std::string_view question, const SolvedExample* example, bool reasoning);

// Monte-Carlo self-refine.
Messages finalise_prompt(Task task, std::string_view question, std::string_view reasoning);
Messages reflect_prompt(Task task, std::string_view question, std::string_view answer);
Messages refine_prompt(Task task, std::string_view question, std::string_view answer, std::string_view feedback);
Messages reward_prompt(Task task, std::string_view question, std::string_view answer);

// Self-correction: the answer and what is known to be wrong with it (may be empty).
Messages correct_prompt(Task task, std::string_view question, std::string_view answer,
                        const std::vector<std::string>& faults, const SolvedExample* example);

// Tree of thoughts over text: the next step, the worth of the steps so far, the answer from them.
Messages next_step_prompt(Task task, std::string_view question, std::string_view steps);
Messages step_value_prompt(Task task, std::string_view question, std::string_view steps);
Messages summary_prompt(Task task, std::string_view question, std::string_view steps);

// Game of 24: steps from three or four numbers, and the chances of what is left. The compact ones are for models that
// were trained on just this (game24_data.h): "Input: 4 9 10 13\nPossible next steps:" and "Value: 4 6 13", sorted.
enum class PromptLength { kWithExamples, kCompact };
Messages propose_prompt(const std::vector<Rational>& state, PromptLength length = PromptLength::kWithExamples);
Messages value_prompt(const std::vector<Rational>& state, PromptLength length = PromptLength::kWithExamples);
// All steps and the answer in one reply, compact: "Solve: 4 9 10 13".
Messages solve_prompt(const std::vector<Rational>& state);

// The expert chooses among candidates, which are fenced off as data; none: it solves the question itself.
struct Candidate {
  std::string label, text;
};
Messages expert_prompt(Task task, std::string_view question, const std::vector<Candidate>& candidates);

// Reading of replies.
struct Score {
  double value = 0;      // within the range
  bool readable = true;  // else value is 0
};
Score read_score(std::string_view text, double least, double most);  // the last number behind the last "score"
Score read_state_value(std::string_view text);                       // last line: sure 20, likely 1, impossible 0.001
std::optional<std::size_t> read_choice(std::string_view text, std::size_t candidates);  // "Choice: B" -> 1

}  // namespace kinglet::fot
