// Small scores of answers: exact match and who wins.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

// The answer as exact match sees it (Rajpurkar et al. 2016): lower case, without ASCII punctuation and the articles a,
// an and the, blanks as one.
std::string plain_answer(std::string_view text);
// Whether the plain answer is that of one of the references.
bool exact_match(const std::vector<std::string>& references, std::string_view prediction);

// The part of all different pairs of neighbouring words (n = 2) in several texts: 1 when nothing repeats.
double distinct_grams(const std::vector<std::string>& texts, std::size_t n);

// Which of two systems has the better score, question by question.
struct WinRate {
  std::size_t wins = 0, ties = 0, losses = 0;
  double rate = 0;           // wins + ties / 2, of all
  double low = 0, high = 1;  // Wilson's 95 % interval of `rate`
};
// Scores within `margin` are a tie. Raises Error (bad input) when the numbers of scores differ.
WinRate win_rate(const std::vector<double>& scores, const std::vector<double>& others, double margin = 1e-9);

// Mean and its standard error, from the differences between the values.
struct MeanAndError {
  double mean = 0, error = 0;
};
MeanAndError mean_and_error(const std::vector<double>& values);

}  // namespace kinglet
