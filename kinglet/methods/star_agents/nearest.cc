#include "kinglet/methods/star_agents/nearest.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <queue>
#include <unordered_set>

#include "kinglet/base/rng.h"
#include "kinglet/methods/star_agents/embedder.h"

namespace kinglet::star_agents {
namespace {

// The more similar one, of equal ones the earlier one.
bool nearer(const Neighbour& a, const Neighbour& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.index < b.index;
}

struct NearerOnTop {
  bool operator()(const Neighbour& a, const Neighbour& b) const { return nearer(b, a); }
};
struct FartherOnTop {
  bool operator()(const Neighbour& a, const Neighbour& b) const { return nearer(a, b); }
};

// Levels are distributed exponentially and depend on the index only.
std::size_t level_of(std::size_t index, std::size_t links) {
  const double uniform = 1 - Rng(index).uniform();
  return static_cast<std::size_t>(-std::log(uniform) / std::log(static_cast<double>(links)));
}

}  // namespace

NearestIndex::NearestIndex(std::size_t dimension, NearestOptions options) : dimension_(dimension), options_(options) {
  assert(dimension > 0 && options.links >= 2);
}

std::span<const float> NearestIndex::vector(std::size_t index) const {
  return std::span(vectors_).subspan(index * dimension_, dimension_);
}

double NearestIndex::similarity(std::span<const float> query, std::size_t index) const {
  return cosine(query, vector(index));
}

void NearestIndex::add(std::span<const float> vector) {
  assert(vector.size() == dimension_);
  vectors_.insert(vectors_.end(), vector.begin(), vector.end());
  ++count_;
  if (count_ <= options_.exact_up_to) return;
  nodes_.reserve(count_);
  while (nodes_.size() < count_) insert_into_graph(nodes_.size());
}

std::vector<Neighbour> NearestIndex::exact(std::span<const float> query, std::size_t count) const {
  std::vector<Neighbour> all(count_);
  for (std::size_t i = 0; i < count_; ++i) all[i] = {i, similarity(query, i)};
  count = std::min(count, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), all.end(), nearer);
  all.resize(count);
  return all;
}

std::vector<Neighbour> NearestIndex::search(std::span<const float> query, std::size_t count) const {
  assert(query.size() == dimension_);
  if (nodes_.empty()) return exact(query, count);
  Neighbour at{entry_, similarity(query, entry_)};
  for (std::size_t level = nodes_[entry_].links.size() - 1; level > 0; --level) at = descend(query, at, level);
  std::vector<Neighbour> found = search_level(query, at, 0, std::max(options_.search_width, count));
  found.resize(std::min(count, found.size()));
  return found;
}

Neighbour NearestIndex::descend(std::span<const float> query, Neighbour from, std::size_t level) const {
  for (bool moved = true; moved;) {
    moved = false;
    const std::size_t here = from.index;
    for (const std::uint32_t next : nodes_[here].links[level]) {
      const Neighbour candidate{next, similarity(query, next)};
      if (nearer(candidate, from)) {
        from = candidate;
        moved = true;
      }
    }
  }
  return from;
}

std::vector<Neighbour> NearestIndex::search_level(std::span<const float> query, Neighbour from, std::size_t level,
                                                  std::size_t width) const {
  std::unordered_set<std::size_t> seen{from.index};
  std::priority_queue<Neighbour, std::vector<Neighbour>, NearerOnTop> open;
  std::priority_queue<Neighbour, std::vector<Neighbour>, FartherOnTop> best;
  open.push(from);
  best.push(from);
  while (!open.empty()) {
    const Neighbour here = open.top();
    open.pop();
    if (best.size() >= width && nearer(best.top(), here)) break;
    for (const std::uint32_t next : nodes_[here.index].links[level]) {
      if (!seen.insert(next).second) continue;
      const Neighbour candidate{next, similarity(query, next)};
      if (best.size() >= width && !nearer(candidate, best.top())) continue;
      open.push(candidate);
      best.push(candidate);
      if (best.size() > width) best.pop();
    }
  }
  std::vector<Neighbour> found;
  for (; !best.empty(); best.pop()) found.push_back(best.top());
  std::reverse(found.begin(), found.end());
  return found;
}

void NearestIndex::insert_into_graph(std::size_t index) {
  const std::size_t top = level_of(index, options_.links);
  nodes_.emplace_back().links.resize(top + 1);
  if (index == 0) return;
  const auto query = vector(index);
  const std::size_t highest = nodes_[entry_].links.size() - 1;
  Neighbour at{entry_, similarity(query, entry_)};
  for (std::size_t level = highest; level > top; --level) at = descend(query, at, level);
  for (std::size_t level = std::min(top, highest) + 1; level-- > 0;) {
    const std::vector<Neighbour> found = search_level(query, at, level, options_.build_width);
    connect(index, level, found);
    at = found.front();
  }
  if (top > highest) entry_ = index;
}

void NearestIndex::connect(std::size_t index, std::size_t level, const std::vector<Neighbour>& found) {
  nodes_[index].links[level] = spread_out(index, found, options_.links);
  for (const std::uint32_t other : nodes_[index].links[level]) {
    auto& links = nodes_[other].links[level];
    links.push_back(static_cast<std::uint32_t>(index));
    if (links.size() <= most_links(level)) continue;
    std::vector<Neighbour> near;
    for (const std::uint32_t one : links) near.push_back({one, cosine(vector(other), vector(one))});
    // Of equally near ones the youngest stay: old ones have more ways in.
    std::sort(near.begin(), near.end(), [](const Neighbour& a, const Neighbour& b) {
      return a.similarity != b.similarity ? a.similarity > b.similarity : a.index > b.index;
    });
    links = spread_out(other, std::move(near), most_links(level));
  }
}

// Links that lead into different directions: a candidate nearer to a chosen one than to the node itself is passed over
// (the paper's algorithm 4); places that stay free go to the nearest of those.
std::vector<std::uint32_t> NearestIndex::spread_out(std::size_t index, std::vector<Neighbour> near,
                                                    std::size_t most) const {
  std::vector<std::uint32_t> chosen, passed_over;
  for (const Neighbour& candidate : near) {
    if (candidate.index == index) continue;
    if (chosen.size() >= most) break;
    const bool covered = std::any_of(chosen.begin(), chosen.end(), [&](std::uint32_t other) {
      return cosine(vector(candidate.index), vector(other)) > candidate.similarity;
    });
    (covered ? passed_over : chosen).push_back(static_cast<std::uint32_t>(candidate.index));
  }
  for (const std::uint32_t one : passed_over) {
    if (chosen.size() >= most) break;
    chosen.push_back(one);
  }
  return chosen;
}

}  // namespace kinglet::star_agents
