// What a run came to, in numbers: for its report and its summary.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kinglet/methods/star_agents/refine.h"

namespace kinglet::star_agents {

// Mean and spread of numbers that come one by one (Welford 1962).
class RunningMean {
 public:
  void add(double value);
  std::size_t count() const { return count_; }
  double mean() const { return mean_; }
  double deviation() const;  // of the sample; 0 for fewer than two

 private:
  std::size_t count_ = 0;
  double mean_ = 0, squares_ = 0;
};

class Histogram {
 public:
  Histogram(double low, double high, std::size_t bins) : low_(low), high_(high), counts_(bins, 0) {}
  void add(double value);  // outside values count in the first and the last bin
  const std::vector<std::size_t>& counts() const { return counts_; }
  double low() const { return low_; }
  double width() const { return (high_ - low_) / static_cast<double>(counts_.size()); }

 private:
  double low_, high_;
  std::vector<std::size_t> counts_;
};

struct PairStatistics {
  std::string name;
  std::size_t drawn = 0;
  std::size_t unusable = 0;  // failed calls, refusals, truncated, unscorable ...
  std::size_t compared = 0;
  std::size_t preferred = 0;  // of them, with judge score 1
  std::size_t wins = 0;
  RunningMean gap;
};

struct WavePoint {
  std::size_t seeds = 0;
  std::vector<double> probabilities;
  std::vector<std::size_t> wins;  // so far, by pair; the base last
};

struct Example {
  std::string instruction, before, after_instruction, after, source;
  double composite = 0, gap = 0;
};

class RunStatistics {
 public:
  explicit RunStatistics(const Settings& settings);

  void add(const Seed& seed, const SeedOutcome& outcome);
  void add(const WaveState& state);

  std::vector<std::string> warnings() const;  // what the numbers say about the set-up
  Json to_json() const;

  std::size_t seeds = 0;
  std::size_t kept_seed = 0;  // of the wins of the base: the seed's own answer, because nothing else came
  std::vector<PairStatistics> pairs;
  PairStatistics base;
  std::vector<WavePoint> history;
  std::map<std::string, std::size_t> problems;
  std::map<std::string, TokenUsage> usage;
  std::array<std::size_t, 3> judge_scores{};  // 0, 0.5, 1
  std::size_t judge_calls = 0, verdicts_missing = 0;
  std::size_t judged_both = 0, same_place = 0;  // in both orders; of them, the same place won twice
  RunningMean composite;
  Histogram gaps{-0.5, 0.5, 40}, duals{0, 1, 20}, composites{0, 1, 20};
  std::vector<Example> examples;

 private:
  PairStatistics& of(const CandidateOutcome& candidate) { return candidate.pair ? pairs[*candidate.pair] : base; }
  void add_example(const Seed& seed, const SeedOutcome& outcome);

  Fit fit_;
};

}  // namespace kinglet::star_agents
