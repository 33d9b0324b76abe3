#include "kinglet/methods/fot/task.h"

#include <array>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/methods/fot/answer_text.h"
#include "kinglet/methods/fot/arithmetic_check.h"
#include "kinglet/methods/fot/game24.h"
#include "kinglet/methods/fot/math_answer.h"

namespace kinglet::fot {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"game24", "gsm8k", "math", "choice", "generic"};
constexpr std::string_view kChoices = "ABCDEFGHIJ";
constexpr std::size_t kMostFaults = 5;

// The expression that a text offers for 24: the last line with one, without words before it.
std::string offered_expression(std::string_view text) {
  if (const auto box = last_boxed(text)) return *box;
  std::string best;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find("nswer:") != std::string_view::npos) best = std::string(line);
    if (best.empty() && text.empty()) best = std::string(line);
  }
  return best;
}

}  // namespace

std::string_view name_of(Task task) { return kNames[static_cast<std::size_t>(task)]; }

Task task_of_name(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Task>(i);
  }
  throw bad_input("--task", fmt::format("'{}' is not known", name), "game24, gsm8k, math, choice or generic");
}

std::optional<std::string> label_of(Task task, std::string_view text) {
  switch (task) {
    case Task::kGame24: {
      std::string expression = offered_expression(text);
      return expression.empty() ? std::nullopt : std::optional(std::move(expression));
    }
    case Task::kGsm8k:
      return numeric_answer(text);
    case Task::kMath: {
      const auto answer = math_answer(text);
      return answer ? std::optional(normal_form(*answer)) : std::nullopt;
    }
    case Task::kChoice:
      return choice_answer(text, kChoices);
    case Task::kGeneric:
      return plain_answer(text);
  }
  return std::nullopt;
}

std::optional<bool> solves(Task task, const Question& question, std::string_view text) {
  if (task != Task::kGame24) return std::nullopt;
  return verify24(parse_puzzle(question.text, question.id), offered_expression(text)).correct;
}

std::vector<std::string> rule_faults(Task task, std::string_view text) {
  std::vector<std::string> faults;
  if (task == Task::kGsm8k || task == Task::kMath) {
    for (const WrongEquality& wrong : wrong_equalities(text)) {
      if (faults.size() == kMostFaults) break;
      faults.push_back(fmt::format("\"{}\" is wrong: it is {}", wrong.text, wrong.computed));
    }
  }
  if (!label_of(task, text)) faults.emplace_back("there is no answer");
  return faults;
}

}  // namespace kinglet::fot
