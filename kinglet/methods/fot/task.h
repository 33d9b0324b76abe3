// What kind of question is asked: how answers are read, compared and checked. Knows nothing of right answers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet::fot {

enum class Task { kGame24, kGsm8k, kMath, kChoice, kGeneric };
std::string_view name_of(Task task);       // "game24", "gsm8k", "math", "choice", "generic"
Task task_of_name(std::string_view name);  // raises Error (bad input)

// What the search sees of a question. Labels live elsewhere (dataset.h).
struct Question {
  std::string id;
  std::string text;  // for game24: "4 9 10 13"
};

// The form of an answer that is voted on: equal answers have equal labels. Nothing when the text holds no answer.
std::optional<std::string> label_of(Task task, std::string_view text);

// Whether the text solves the question, where that can be decided without knowing the answer (game24); else nothing.
std::optional<bool> solves(Task task, const Question& question, std::string_view text);

// What rules find wrong in a text, one line each: arithmetic that does not hold, a missing answer.
std::vector<std::string> rule_faults(Task task, std::string_view text);

}  // namespace kinglet::fot
