#include "kinglet/methods/fot/vote.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet::fot {

void Tally::add(int tree, const std::optional<std::string>& label) {
  ++trees_;
  if (!label) return;
  ++votes_;
  const auto found =
      std::find_if(counts_.begin(), counts_.end(), [&](const Count& count) { return count.label == *label; });
  if (found == counts_.end()) {
    counts_.push_back({*label, 1, tree});
    return;
  }
  ++found->votes;
  found->first_tree = std::min(found->first_tree, tree);
}

std::optional<std::string> Tally::leader() const {
  const Count* best = nullptr;
  for (const Count& count : counts_) {
    const bool better = best == nullptr || count.votes > best->votes ||
                        (count.votes == best->votes && count.first_tree < best->first_tree);
    if (better) best = &count;
  }
  return best ? std::optional(best->label) : std::nullopt;
}

bool Tally::leader_is_unique() const { return leader_votes() > runner_up_votes(); }

int Tally::leader_votes() const {
  int most = 0;
  for (const Count& count : counts_) most = std::max(most, count.votes);
  return most;
}

int Tally::runner_up_votes() const {
  int most = 0, second = 0;
  for (const Count& count : counts_) {
    second = std::max(second, std::min(most, count.votes));
    most = std::max(most, count.votes);
  }
  return second;
}

std::string_view name_of(StopRule rule) {
  constexpr std::array<std::string_view, 4> kNames = {"none", "strict", "lead", "beta"};
  return kNames[static_cast<std::size_t>(rule)];
}

StopPolicy parse_stop_policy(std::string_view text) {
  StopPolicy policy;
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  bool known = false;
  for (const StopRule rule : {StopRule::kNone, StopRule::kStrict, StopRule::kLead, StopRule::kBeta}) {
    if (name != name_of(rule)) continue;
    policy.rule = rule;
    known = true;
  }
  if (known && colon != std::string_view::npos) {
    const std::string_view number = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), policy.confidence);
    known = policy.rule == StopRule::kBeta && error == std::errc() && end == number.data() + number.size() &&
            policy.confidence > 0.5 && policy.confidence < 1;
  }
  if (!known) throw bad_input("--stop", fmt::format("'{}' is no rule", text), "none, strict, lead or beta:0.95");
  return policy;
}

std::string to_text(const StopPolicy& policy) {
  if (policy.rule != StopRule::kBeta) return std::string(name_of(policy.rule));
  return fmt::format("beta:{:g}", policy.confidence);
}

double majority_probability(int leader, int runner_up) {
  // Beta(a + 1, b + 1) above 1/2 is Binomial(a + b + 1, 1/2) up to a.
  const int throws = leader + runner_up + 1;
  double sum = 0;
  for (int heads = 0; heads <= leader; ++heads) {
    sum += std::exp(std::lgamma(throws + 1.0) - std::lgamma(heads + 1.0) - std::lgamma(throws - heads + 1.0) -
                    throws * std::log(2.0));
  }
  return std::min(sum, 1.0);
}

namespace {

bool is_decided(int leader, int runner_up, int ended, int planned, const StopPolicy& policy) {
  if (ended >= planned) return true;
  if (ended < 2) return false;
  switch (policy.rule) {
    case StopRule::kNone:
      return false;
    case StopRule::kStrict:
      return 2 * leader > planned;
    case StopRule::kLead:
      return leader - runner_up > planned - ended;
    case StopRule::kBeta:
      return majority_probability(leader, runner_up) >= policy.confidence;
  }
  return false;
}

}  // namespace

bool is_decided(const Tally& tally, int planned, const StopPolicy& policy) {
  return is_decided(tally.leader_votes(), tally.runner_up_votes(), tally.trees(), planned, policy);
}

int trees_needed(const Tally& tally, int planned, const StopPolicy& policy) {
  int more = 0;
  while (!is_decided(tally.leader_votes() + more, tally.runner_up_votes(), tally.trees() + more, planned, policy)) {
    ++more;
  }
  return more;
}

}  // namespace kinglet::fot
