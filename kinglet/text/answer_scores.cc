#include "kinglet/text/answer_scores.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/rouge.h"

namespace kinglet {
namespace {

bool is_punctuation(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte > 0x20 && byte < 0x30) || (byte > 0x39 && byte < 0x41) || (byte > 0x5A && byte < 0x61) ||
         (byte > 0x7A && byte < 0x7F);
}

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

std::string plain_answer(std::string_view text) {
  std::string result, word;
  const auto end_word = [&] {
    if (!word.empty() && word != "a" && word != "an" && word != "the") {
      if (!result.empty()) result += ' ';
      result += word;
    }
    word.clear();
  };
  for (const char c : text) {
    if (is_blank(c)) {
      end_word();
    } else if (!is_punctuation(c)) {
      word += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  end_word();
  return result;
}

bool exact_match(const std::vector<std::string>& references, std::string_view prediction) {
  const std::string answer = plain_answer(prediction);
  return std::any_of(references.begin(), references.end(),
                     [&](const std::string& reference) { return plain_answer(reference) == answer; });
}

double distinct_grams(const std::vector<std::string>& texts, std::size_t n) {
  std::set<std::vector<std::string>> different;
  std::size_t all = 0;
  for (const std::string& text : texts) {
    const std::vector<std::string> words = rouge_words(text, false);
    for (std::size_t i = 0; i + n <= words.size(); ++i, ++all) {
      different.emplace(words.begin() + static_cast<std::ptrdiff_t>(i),
                        words.begin() + static_cast<std::ptrdiff_t>(i + n));
    }
  }
  return all > 0 ? static_cast<double>(different.size()) / static_cast<double>(all) : 0.0;
}

WinRate win_rate(const std::vector<double>& scores, const std::vector<double>& others, double margin) {
  if (scores.size() != others.size()) {
    throw bad_input("", fmt::format("{} scores cannot be compared with {}", scores.size(), others.size()),
                    "score both systems on the same questions");
  }
  WinRate result;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double difference = scores[i] - others[i];
    ++(difference > margin ? result.wins : difference < -margin ? result.losses : result.ties);
  }
  const auto count = static_cast<double>(scores.size());
  if (scores.empty()) return result;
  result.rate = (static_cast<double>(result.wins) + 0.5 * static_cast<double>(result.ties)) / count;
  constexpr double kNormal = 1.959963984540054;  // 97.5 % of the normal distribution lie below
  const double square = kNormal * kNormal / count, centre = (result.rate + square / 2) / (1 + square);
  const double half =
      kNormal / (1 + square) * std::sqrt(result.rate * (1 - result.rate) / count + square / (4 * count));
  result.low = std::max(0.0, centre - half);
  result.high = std::min(1.0, centre + half);
  return result;
}

MeanAndError mean_and_error(const std::vector<double>& values) {
  MeanAndError result;
  if (values.empty()) return result;
  const auto count = static_cast<double>(values.size());
  for (const double value : values) result.mean += value / count;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  if (values.size() > 1) result.error = std::sqrt(squares / (count - 1) / count);
  return result;
}

}  // namespace kinglet
