// The most similar among vectors of unit length: exactly by looking at all, or through a graph when there are many.
//
// The graph is HNSW (Malkov & Yashunin 2018): every vector is a node with links to near ones, a few nodes also stand on
// coarser levels above; a search walks from the top greedily, and at the bottom keeps the best `ef` nodes it has seen.
// Both are deterministic: equal vectors added in the same order give equal answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kinglet::star_agents {

struct Neighbour {
  std::size_t index = 0;  // in the order of adding
  double similarity = 0;  // cosine
};

struct NearestOptions {
  std::size_t exact_up_to = 20'000;  // vectors; beyond, the graph is built and searched
  std::size_t links = 16;            // of a node on each level but the lowest, which has twice as many
  std::size_t build_width = 100;     // ef while adding
  std::size_t search_width = 100;    // ef while searching; raised to the number of neighbours asked for
};

class NearestIndex {
 public:
  explicit NearestIndex(std::size_t dimension, NearestOptions options = {});

  std::size_t size() const { return count_; }
  std::span<const float> vector(std::size_t index) const;

  void add(std::span<const float> vector);
  // At most `count`, the most similar first; equal ones in the order of adding.
  std::vector<Neighbour> search(std::span<const float> query, std::size_t count) const;

 private:
  struct Node {
    std::vector<std::vector<std::uint32_t>> links;  // by level, from the bottom
  };

  std::vector<Neighbour> exact(std::span<const float> query, std::size_t count) const;
  void insert_into_graph(std::size_t index);
  void connect(std::size_t index, std::size_t level, const std::vector<Neighbour>& found);
  Neighbour descend(std::span<const float> query, Neighbour from, std::size_t level) const;
  std::vector<Neighbour> search_level(std::span<const float> query, Neighbour from, std::size_t level,
                                      std::size_t width) const;
  std::vector<std::uint32_t> spread_out(std::size_t index, std::vector<Neighbour> near, std::size_t most) const;
  std::size_t most_links(std::size_t level) const { return level == 0 ? 2 * options_.links : options_.links; }
  double similarity(std::span<const float> query, std::size_t index) const;

  std::size_t dimension_;
  NearestOptions options_;
  std::size_t count_ = 0;
  std::vector<float> vectors_;
  std::vector<Node> nodes_;  // empty until there are more than exact_up_to
  std::size_t entry_ = 0;    // a node of the highest level
};

}  // namespace kinglet::star_agents
