// ROUGE (Lin 2004): how much of a reference text a prediction contains. The numbers are those of the `rouge-score`
// package to the last bit.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

struct RougeScore {
  double precision = 0, recall = 0, f = 0;
};

// The words that are compared: letters and digits of ASCII in lower case; with `stem`, words of more than three letters
// lose their endings (porter_stemmer.h). Whatever is no ASCII letter or digit separates words.
std::vector<std::string> rouge_words(std::string_view text, bool stem = true);

// Longest common subsequence. Time is the product of the lengths, memory their sum.
RougeScore rouge_l(const std::vector<std::string>& reference, const std::vector<std::string>& prediction);
// n-grams, n >= 1
RougeScore rouge_n(const std::vector<std::string>& reference, const std::vector<std::string>& prediction, int n);

// The best F-measure over several references; nothing without references.
RougeScore rouge_l(const std::vector<std::string>& references, std::string_view prediction, bool stem = true);

}  // namespace kinglet
