// Which pair served which instruction well (Star-Agents, section 3.3): similar instructions ask the same pairs again.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "kinglet/methods/star_agents/nearest.h"
#include "kinglet/methods/star_agents/selection.h"

namespace kinglet::star_agents {

struct MemoryOptions {
  std::size_t neighbours = 10;  // n
  double threshold = 0.5;       // tau: the least composite score of what is remembered
  NearestOptions index;
};

class MemoryBank {
 public:
  MemoryBank(std::size_t dimension, MemoryOptions options);

  // Whether a winner is worth remembering: its composite reaches the threshold, or the judge preferred it.
  bool worth(const Choice& choice) const { return choice.composite >= options_.threshold || choice.judge == 1; }
  void remember(std::span<const float> embedding, std::size_t pair);
  // The pairs of the most similar entries, the most similar first; a pair may come several times.
  std::vector<std::size_t> recall(std::span<const float> embedding) const;

  std::size_t size() const { return pairs_.size(); }

 private:
  MemoryOptions options_;
  NearestIndex index_;
  std::vector<std::size_t> pairs_;
};

}  // namespace kinglet::star_agents
