#include "kinglet/methods/star_agents/memory_bank.h"

namespace kinglet::star_agents {

MemoryBank::MemoryBank(std::size_t dimension, MemoryOptions options)
    : options_(options), index_(dimension, options.index) {}

void MemoryBank::remember(std::span<const float> embedding, std::size_t pair) {
  index_.add(embedding);
  pairs_.push_back(pair);
}

std::vector<std::size_t> MemoryBank::recall(std::span<const float> embedding) const {
  std::vector<std::size_t> pairs;
  if (pairs_.empty()) return pairs;
  for (const Neighbour& neighbour : index_.search(embedding, options_.neighbours)) {
    pairs.push_back(pairs_[neighbour.index]);
  }
  return pairs;
}

}  // namespace kinglet::star_agents
