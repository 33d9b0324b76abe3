// What a model or a user may write to the reasoning methods: steps of the Game of 24, expressions, answers, scores, and
// files of questions. Whatever is accepted is exactly true.
#include <set>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/methods/fot/answer_text.h"
#include "kinglet/methods/fot/arithmetic_check.h"
#include "kinglet/methods/fot/dataset.h"
#include "kinglet/methods/fot/expression.h"
#include "kinglet/methods/fot/game24.h"
#include "kinglet/methods/fot/game24_step.h"
#include "kinglet/methods/fot/math_answer.h"
#include "kinglet/methods/fot/prompts.h"

namespace kinglet::fuzz {
namespace {

using namespace fot;  // NOLINT(google-build-using-namespace): a program about this namespace only

void check_arithmetic(std::string_view text) {
  const Puzzle puzzle = {4, 9, 10, 13};
  if (verify24(puzzle, text).correct) {
    require(text.find('4') != std::string_view::npos && text.find("13") != std::string_view::npos,
            "a solution holds the puzzle's numbers");
  }
  const Evaluation evaluation = evaluate(text);
  require(evaluation.value.has_value() == evaluation.error.empty(), "a value or a reason");
  require(evaluation.error.find('\n') == std::string::npos, "a reason is one line");
  const auto step = parse_step(text);
  if (!step) return;
  const auto again = parse_step(to_text(*step));
  require(again && to_text(*again) == to_text(*step), "a step that is written is read the same");
  std::vector<Rational> state = {step->left_operand, step->right_operand, Rational(3), Rational(7)};
  const CheckedStep checked = check_step(text, state, StepRules::kExact, true);
  if (!checked.step) return;
  require(
      apply(checked.step->operation, checked.step->left_operand, checked.step->right_operand) == checked.step->result,
      "an accepted step is true");
  require(checked.step->left.size() == 3, "one number less is left");
}

void check_answers(std::string_view text) {
  require(normal_form(text).size() <= 6 * text.size() + 64, "a normal form does not grow");
  for (const Task task : {Task::kGame24, Task::kGsm8k, Task::kMath, Task::kChoice, Task::kGeneric}) {
    const auto label = label_of(task, text);
    require(!label || label->size() <= 6 * text.size() + 64, "a label comes from the text");
    rule_faults(task, text);
  }
  without_thinking(text);
  is_refusal(text);
  const Score score = read_score(text, 0, 100);
  require(score.value >= 0 && score.value <= 100, "a score lies in its range");
  read_state_value(text);
  const auto choice = read_choice(text, 3);
  require(!choice || *choice < 3, "a choice is a candidate");
}

void check_files(std::string_view text) {
  for (const Task task : {Task::kGame24, Task::kMath, Task::kChoice}) {
    for (const char* name : {"data.csv", "data.jsonl"}) {
      accepted([&] {
        const Dataset data = parse_dataset(text, name, task);
        std::set<std::string> ids;
        for (const Question& question : data.questions) {
          require(ids.insert(question.id).second, "ids are different");
          require(!question.text.empty(), "questions have a text");
        }
      });
    }
  }
}

void check_reasoning(ByteView input) {
  const std::string_view text = as_text(input);
  check_arithmetic(text);
  check_answers(text);
  check_files(text);
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(reasoning, kinglet::fuzz::check_reasoning)
