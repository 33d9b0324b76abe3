#include "kinglet/text/rouge.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>

#include "kinglet/text/porter_stemmer.h"

namespace kinglet {
namespace {

RougeScore score_of(std::size_t common, std::size_t reference, std::size_t prediction) {
  RougeScore score;
  score.precision = static_cast<double>(common) / static_cast<double>(std::max<std::size_t>(1, prediction));
  score.recall = static_cast<double>(common) / static_cast<double>(std::max<std::size_t>(1, reference));
  if (common > 0) score.f = 2 * score.precision * score.recall / (score.precision + score.recall);
  return score;
}

// Words as numbers, so that comparing them is cheap.
class WordNumbers {
 public:
  std::vector<std::uint32_t> of(const std::vector<std::string>& words) {
    std::vector<std::uint32_t> result;
    result.reserve(words.size());
    for (const std::string& word : words) {
      result.push_back(numbers_.emplace(word, static_cast<std::uint32_t>(numbers_.size())).first->second);
    }
    return result;
  }

 private:
  std::map<std::string, std::uint32_t> numbers_;
};

std::map<std::vector<std::uint32_t>, std::size_t> grams(const std::vector<std::uint32_t>& words, std::size_t n) {
  std::map<std::vector<std::uint32_t>, std::size_t> counts;
  for (std::size_t i = 0; i + n <= words.size(); ++i) {
    ++counts[{words.begin() + static_cast<std::ptrdiff_t>(i), words.begin() + static_cast<std::ptrdiff_t>(i + n)}];
  }
  return counts;
}

}  // namespace

std::vector<std::string> rouge_words(std::string_view text, bool stem) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(stem && word.size() > 3 ? porter_stem(word) : word);
    word.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    // The two characters outside ASCII whose small letter begins with one inside: a dotted capital I, the Kelvin sign.
    if (text.substr(i, 2) == "\xC4\xB0") {
      c = 'i';
    } else if (text.substr(i, 3) == "\xE2\x84\xAA") {
      c = 'k';
      i += 2;
    }
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      word += c;
    } else {
      end_word();
    }
  }
  end_word();
  return words;
}

RougeScore rouge_l(const std::vector<std::string>& reference, const std::vector<std::string>& prediction) {
  WordNumbers numbers;
  const std::vector<std::uint32_t> a = numbers.of(reference), b = numbers.of(prediction);
  std::vector<std::size_t> longest(b.size() + 1, 0);  // of the words of `a` so far and a start of b
  for (const std::uint32_t word : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = longest[j + 1];
      longest[j + 1] = word == b[j] ? diagonal + 1 : std::max(above, longest[j]);
      diagonal = above;
    }
  }
  return score_of(longest.back(), a.size(), b.size());
}

RougeScore rouge_n(const std::vector<std::string>& reference, const std::vector<std::string>& prediction, int n) {
  WordNumbers numbers;
  const auto size = static_cast<std::size_t>(std::max(1, n));
  const std::vector<std::uint32_t> a = numbers.of(reference), b = numbers.of(prediction);
  const auto expected = grams(a, size), given = grams(b, size);
  std::size_t common = 0;
  for (const auto& [gram, count] : expected) {
    const auto found = given.find(gram);
    if (found != given.end()) common += std::min(count, found->second);
  }
  const auto total = [size](const auto& words) { return words.size() < size ? 0 : words.size() - size + 1; };
  return score_of(common, total(a), total(b));
}

RougeScore rouge_l(const std::vector<std::string>& references, std::string_view prediction, bool stem) {
  RougeScore best;
  const std::vector<std::string> words = rouge_words(prediction, stem);
  for (const std::string& reference : references) {
    const RougeScore score = rouge_l(rouge_words(reference, stem), words);
    if (score.f > best.f) best = score;
  }
  return best;
}

}  // namespace kinglet
