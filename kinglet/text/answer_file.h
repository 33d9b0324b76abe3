// Answers of a system with what they should have been, and how two systems compare.
//
//   {"answer": "...", "reference": "..."}     a line; "reference" may be a list of texts, any of which is right
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/text/answer_scores.h"

namespace kinglet {

struct AnsweredQuestion {
  std::string answer;
  std::vector<std::string> references;
};

// Raises Error (bad input) with the line for what is no such record, and for a file without any. Blank lines are passed
// over.
std::vector<AnsweredQuestion> parse_answers(std::string_view text, std::string_view where);
std::vector<AnsweredQuestion> read_answers(const std::filesystem::path& path);

struct AnswerFileScores {
  std::size_t questions = 0;
  MeanAndError rouge_1, rouge_2, rouge_l;  // F, with stems, the best reference
  double exact_match = 0;
  double distinct_2 = 0;
  std::vector<double> rouge_l_of_each;
};
AnswerFileScores score_answer_file(const std::vector<AnsweredQuestion>& answers);

// Who has the higher ROUGE-L, question by question. Raises Error (bad input) when the references differ.
WinRate compare_answers(const std::vector<AnsweredQuestion>& answers, const std::vector<AnsweredQuestion>& others);

}  // namespace kinglet
