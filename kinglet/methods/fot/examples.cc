#include "kinglet/methods/fot/examples.h"

#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet::fot {
namespace {

std::string essence(std::string_view question) {
  std::string text;
  for (const std::string& word : words_of(question)) text += word + " ";
  return text;
}

}  // namespace

ExampleBase::ExampleBase(std::vector<SolvedExample> examples) : examples_(std::move(examples)) {
  if (examples_.empty()) return;
  std::vector<std::string> questions;
  for (const SolvedExample& example : examples_) questions.push_back(example.question);
  index_.emplace(questions);
}

std::vector<std::size_t> ExampleBase::nearest(std::string_view question) const {
  return index_ ? index_->nearest(question) : std::vector<std::size_t>{};
}

void ExampleBase::refuse_questions(const std::vector<Question>& questions, std::string_view where) const {
  std::set<std::string> known;
  for (const SolvedExample& example : examples_) known.insert(essence(example.question));
  for (const Question& question : questions) {
    if (known.count(essence(question.text)) == 0) continue;
    throw bad_input(where, fmt::format("holds the question '{}' that is asked", question.id), "leave it out");
  }
}

}  // namespace kinglet::fot
