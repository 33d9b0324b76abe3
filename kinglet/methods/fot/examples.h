// Solved examples that may stand before a question: the knowledge base of the forest.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/methods/fot/prompts.h"
#include "kinglet/methods/fot/retrieval.h"

namespace kinglet::fot {

class ExampleBase {
 public:
  ExampleBase() = default;
  explicit ExampleBase(std::vector<SolvedExample> examples);

  bool empty() const { return examples_.empty(); }
  const std::vector<SolvedExample>& examples() const { return examples_; }
  const SolvedExample& at(std::size_t index) const { return examples_[index]; }
  std::vector<std::size_t> nearest(std::string_view question) const;  // by falling similarity

  // Raises Error (bad input) when one of the questions is among the examples: its answer would be given away.
  void refuse_questions(const std::vector<Question>& questions, std::string_view where) const;

 private:
  std::vector<SolvedExample> examples_;
  std::optional<TfIdf> index_;
};

}  // namespace kinglet::fot
