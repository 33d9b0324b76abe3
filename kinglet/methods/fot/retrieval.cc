#include "kinglet/methods/fot/retrieval.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace kinglet::fot {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (word.size() > 1) words.push_back(word);
    word.clear();
  };
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool inside =
        upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
    if (inside)
      word += upper ? static_cast<char>(c - 'A' + 'a') : c;
    else
      end_word();
  }
  end_word();
  return words;
}

TfIdf::TfIdf(const std::vector<std::string>& documents) {
  std::map<std::string, std::size_t> document_counts;
  for (const std::string& document : documents) {
    const auto words = words_of(document);
    for (const std::string& word : std::set<std::string>(words.begin(), words.end())) ++document_counts[word];
  }
  const auto total = static_cast<double>(documents.size());
  for (const auto& [word, count] : document_counts) {
    const double idf = std::log((1 + total) / (1 + static_cast<double>(count))) + 1;
    vocabulary_.emplace(word, Entry{vocabulary_.size(), idf});
  }
  for (const std::string& document : documents) documents_.push_back(vector_of(document));
}

TfIdf::Vector TfIdf::vector_of(std::string_view text) const {
  Vector vector;
  for (const std::string& word : words_of(text)) {
    const auto found = vocabulary_.find(word);
    if (found != vocabulary_.end()) vector[found->second.index] += found->second.idf;
  }
  double squares = 0;
  for (const auto& [index, weight] : vector) squares += weight * weight;
  for (auto& [index, weight] : vector) weight /= std::sqrt(squares);
  return vector;
}

std::vector<double> TfIdf::cosines(std::string_view text) const {
  const Vector query = vector_of(text);
  std::vector<double> cosines;
  for (const Vector& document : documents_) {
    double sum = 0;
    for (const auto& [index, weight] : query) {
      const auto found = document.find(index);
      if (found != document.end()) sum += weight * found->second;
    }
    cosines.push_back(sum);
  }
  return cosines;
}

std::vector<std::size_t> TfIdf::nearest(std::string_view text) const {
  const std::vector<double> similarity = cosines(text);
  std::vector<std::size_t> order(similarity.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return similarity[a] > similarity[b]; });
  return order;
}

double TfIdf::idf(const std::string& word) const {
  const auto found = vocabulary_.find(word);
  return found == vocabulary_.end() ? 0 : found->second.idf;
}

}  // namespace kinglet::fot
