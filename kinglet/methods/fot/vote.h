// Voting of trees, and when the vote is decided before all of them have ended.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet::fot {

// Labels in the order of the trees; trees that failed abstain.
class Tally {
 public:
  struct Count {
    std::string label;
    int votes = 0;
    int first_tree = 0;  // of those that voted so
  };

  void add(int tree, const std::optional<std::string>& label);

  int trees() const { return trees_; }  // that have ended, abstaining ones included
  int votes() const { return votes_; }
  const std::vector<Count>& counts() const { return counts_; }  // in the order in which labels appeared

  // The label with the most votes, of equal ones that of the first tree; nothing without votes.
  std::optional<std::string> leader() const;
  bool leader_is_unique() const;
  int leader_votes() const;
  int runner_up_votes() const;

 private:
  std::vector<Count> counts_;
  int trees_ = 0;
  int votes_ = 0;
};

enum class StopRule {
  kNone,    // all trees run
  kStrict,  // more than half of the planned trees agree
  kLead,    // the leader cannot be caught up with; as lossless as kStrict and never later
  kBeta,    // the leader is the majority with a given probability (Adaptive-Consistency); not lossless
};
std::string_view name_of(StopRule rule);

struct StopPolicy {
  StopRule rule = StopRule::kLead;
  double confidence = 0.95;  // of kBeta

  bool operator==(const StopPolicy&) const = default;
};

// "none", "strict", "lead", "beta", "beta:0.9". Raises Error (bad input).
StopPolicy parse_stop_policy(std::string_view text);
std::string to_text(const StopPolicy& policy);

// P(share of the leader > 1/2) after these votes for the leader and the runner-up, from a uniform prior.
double majority_probability(int leader, int runner_up);

// Whether the vote may stop. `planned` trees count, also those that abstained; the first two trees always run.
bool is_decided(const Tally& tally, int planned, const StopPolicy& policy);

// The smallest number of further trees after which the vote could be decided (all of them agreeing with the leader):
// so many can run at once without one of them being needless. 0 when nothing is left to do.
int trees_needed(const Tally& tally, int planned, const StopPolicy& policy);

}  // namespace kinglet::fot
