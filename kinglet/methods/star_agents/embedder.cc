#include "kinglet/methods/star_agents/embedder.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "kinglet/base/hash.h"
#include "kinglet/text/unicode.h"
#include "kinglet/text/utf8.h"

namespace kinglet::star_agents {
namespace {

constexpr std::size_t kCountBuckets = std::size_t{1} << 20;  // features that share one are rare and harmless

std::vector<std::uint64_t> word_hashes(std::string_view text) {
  const std::string lower = lowercase(utf8::is_valid(text) ? std::string(text) : utf8::replace_invalid(text));
  std::vector<std::uint64_t> words;
  std::size_t begin = 0, end = 0;  // of the word that is being read
  const auto finish = [&] {
    if (end > begin) words.push_back(xxh3(as_bytes(std::string_view(lower).substr(begin, end - begin))));
  };
  utf8::for_each_character(lower, [&](char32_t code, std::size_t at, std::size_t length) {
    if (is_word(code)) {
      if (end != at || end == begin) {
        finish();
        begin = at;
      }
      end = at + length;
    }
  });
  finish();
  return words;
}

struct Feature {
  std::uint64_t hash;
  std::uint32_t count;
};

// Words and pairs of neighbouring words, each once, with their counts.
std::vector<Feature> features_of(std::string_view text) {
  const std::vector<std::uint64_t> words = word_hashes(text);
  std::vector<std::uint64_t> hashes = words;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    hashes.push_back((words[i] * 0x9E3779B97F4A7C15ULL) ^ (words[i + 1] + 0x632BE59BD9B4E019ULL));
  }
  std::sort(hashes.begin(), hashes.end());
  std::vector<Feature> features;
  for (const std::uint64_t hash : hashes) {
    if (features.empty() || features.back().hash != hash)
      features.push_back({hash, 1});
    else
      ++features.back().count;
  }
  return features;
}

}  // namespace

HashedTfIdf::HashedTfIdf(std::span<const std::string> corpus, std::size_t dimension)
    : dimension_(dimension), document_counts_(kCountBuckets, 0) {
  for (const std::string& text : corpus) {
    ++documents_;
    for (const Feature& feature : features_of(text)) ++document_counts_[feature.hash % kCountBuckets];
  }
}

double HashedTfIdf::inverse_document_frequency(std::uint64_t feature) const {
  return std::log((1.0 + documents_) / (1.0 + document_counts_[feature % kCountBuckets])) + 1;
}

std::vector<float> HashedTfIdf::embed(std::span<const std::string> texts) {
  std::vector<float> result;
  result.reserve(texts.size() * dimension_);
  for (const std::string& text : texts) {
    std::vector<double> vector(dimension_, 0.0);
    for (const Feature& feature : features_of(text)) {
      const double weight = (1 + std::log(feature.count)) * inverse_document_frequency(feature.hash);
      // Bits that the bucket did not use choose place and sign.
      const std::uint64_t mixed = (feature.hash ^ (feature.hash >> 29)) * 0xBF58476D1CE4E5B9ULL;
      vector[(mixed >> 1) % dimension_] += (mixed >> 63) != 0 ? weight : -weight;
    }
    double norm = 0;
    for (const double value : vector) norm += value * value;
    norm = norm > 0 ? std::sqrt(norm) : 1;
    for (const double value : vector) result.push_back(static_cast<float>(value / norm));
  }
  return result;
}

std::string HashedTfIdf::name() const { return fmt::format("hashed-tf-idf-{}", dimension_); }

double cosine(std::span<const float> a, std::span<const float> b) {
  // Sixteen partial sums, which the compiler turns into vector instructions.
  constexpr std::size_t kLanes = 16;
  float sums[kLanes] = {};
  const std::size_t whole = a.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  double sum = 0;
  for (const float part : sums) sum += part;
  for (std::size_t i = whole; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace kinglet::star_agents
