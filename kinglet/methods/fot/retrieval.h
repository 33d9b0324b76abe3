// The solved example that is nearest to a question: TF-IDF vectors and their cosine, as scikit-learn's defaults have
// it.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet::fot {

class TfIdf {
 public:
  // The vocabulary is that of `documents`; at least one.
  explicit TfIdf(const std::vector<std::string>& documents);

  // Cosines with each document; words that no document has do not count.
  std::vector<double> cosines(std::string_view text) const;

  // Documents by falling cosine, equal ones in their order.
  std::vector<std::size_t> nearest(std::string_view text) const;

  double idf(const std::string& word) const;  // 0 for a word that is not known

 private:
  struct Entry {
    std::size_t index;
    double idf;
  };
  using Vector = std::map<std::size_t, double>;

  Vector vector_of(std::string_view text) const;

  std::map<std::string, Entry, std::less<>> vocabulary_;
  std::vector<Vector> documents_;
};

// Lower-case words of two or more letters, digits and underscores; bytes above 127 count as letters.
std::vector<std::string> words_of(std::string_view text);

}  // namespace kinglet::fot
