// Texts as vectors of unit length, for finding similar instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet::star_agents {

class Embedder {
 public:
  virtual ~Embedder() = default;
  virtual std::size_t dimension() const = 0;
  // One vector of unit length a text (all zero for a text without content), one behind the other.
  virtual std::vector<float> embed(std::span<const std::string> texts) = 0;
  virtual std::string name() const = 0;  // a change of it changes the results
};

// Words and pairs of neighbouring words, weighted by TF-IDF and hashed with signs into a vector (the hashing trick,
// Weinberger et al. 2009). Needs no model; finds texts that share rare words.
class HashedTfIdf : public Embedder {
 public:
  // `corpus`: the texts whose words are counted.
  explicit HashedTfIdf(std::span<const std::string> corpus, std::size_t dimension = 512);

  std::size_t dimension() const override { return dimension_; }
  std::vector<float> embed(std::span<const std::string> texts) override;
  std::string name() const override;

 private:
  double inverse_document_frequency(std::uint64_t feature) const;

  std::size_t dimension_;
  std::uint32_t documents_ = 0;
  std::vector<std::uint32_t> document_counts_;  // by the feature's hash
};

double cosine(std::span<const float> a, std::span<const float> b);  // of vectors of unit length: their product

}  // namespace kinglet::star_agents
