// Which candidate of a seed is kept (Star-Agents, eq. 1 and 7), and which comparisons that needs.
//
//   composite = judge score * dual score;  the kept one has the largest composite; ties go to the higher judge score,
//   then the higher gap, then the lower index. The base answer competes with judge score 0.5, and stays where every
//   composite is 0.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace kinglet::star_agents {

struct Candidate {
  double dual = 0;       // dual score; 0 can never win
  double gap = 0;        // IFD gap, for ties
  bool usable = true;    // false: empty, a refusal, not scored ...; composite 0
  std::size_t text = 0;  // candidates with the same text share a number: they get one verdict; the base's text is a tie
};

struct Choice {
  std::size_t winner = 0;  // index of the candidate; the base is candidate 0
  double judge = 0;        // its judge score
  double composite = 0;
};

// judge[i] in {0, 0.5, 1}; nothing counts as 0 (not judged). judge[0], of the base, is not read.
Choice choose(std::span<const Candidate> candidates, std::span<const std::optional<double>> judge,
              bool base_competes = true);

// Asks for verdicts in the order that needs fewest, and stops when no open one could change the winner: a composite is
// at most the dual score. The winner is the one that all verdicts would give. Candidate 0 is the base.
class LazyJudging {
 public:
  LazyJudging(std::vector<Candidate> candidates, bool base_competes = true);

  // The next candidate to compare with the base; nothing when the choice is certain.
  std::optional<std::size_t> next() const;
  // Every open comparison, the likeliest winner first: what a run asks for at once that needs every verdict.
  std::vector<std::size_t> all_open() const;
  void record(std::size_t candidate, double judge);  // of all candidates with the same text

  Choice choice() const;
  std::span<const std::optional<double>> verdicts() const { return judge_; }

 private:
  bool open(std::size_t candidate) const;

  std::vector<Candidate> candidates_;
  std::vector<std::optional<double>> judge_;
  std::vector<std::size_t> order_;  // without the base, by falling dual score
  bool base_competes_;
};

}  // namespace kinglet::star_agents
