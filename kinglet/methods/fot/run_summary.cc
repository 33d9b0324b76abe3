#include "kinglet/methods/fot/run_summary.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "kinglet/base/error.h"

namespace kinglet::fot {
namespace {

std::string text_of(const Json& json, const char* field) {
  const auto found = json.find(field);
  if (found == json.end() || !found->is_string()) throw bad_input("record", fmt::format("'{}' is missing", field));
  return found->get<std::string>();
}

double number_of(const Json& json, const char* field) {
  const auto found = json.find(field);
  if (found == json.end() || !found->is_number()) throw bad_input("record", fmt::format("'{}' is missing", field));
  return found->get<double>();
}

const Json& part_of(const Json& json, const char* field) {
  const auto found = json.find(field);
  if (found == json.end()) throw bad_input("record", fmt::format("'{}' is missing", field));
  return *found;
}

bool is_true(const Json& json, const char* field) {
  const auto found = json.find(field);
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

void add(ArmSummary& arm, const Json& record) {
  ++arm.questions;
  if (record.contains("correct")) {
    ++arm.graded;
    arm.right += is_true(record, "correct") ? 1 : 0;
    arm.covered += is_true(record, "covered") ? 1 : 0;
  }
  arm.answered += part_of(record, "label").is_null() ? 0 : 1;
  const Json& cost = part_of(record, "cost");
  arm.calls += number_of(cost, "calls");
  arm.prompt_tokens += number_of(cost, "prompt_tokens");
  arm.completion_tokens += number_of(cost, "completion_tokens");
  arm.late_tokens += number_of(part_of(record, "late"), "completion_tokens");
  arm.experts += text_of(record, "decided_by") == "expert" ? 1 : 0;
  for (const Json& tree : part_of(record, "trees")) {
    arm.trees += 1;
    arm.active_trees += is_true(tree, "active") ? 1 : 0;
    arm.corrections += number_of(tree, "corrections");
  }
}

}  // namespace

std::pair<double, double> wilson_interval(int right, int total) {
  if (total == 0) return {0, 1};
  constexpr double kZ = 1.959963984540054;
  const double n = total, share = right / n, z2 = kZ * kZ / n;
  const double center = (share + z2 / 2) / (1 + z2);
  const double half = kZ / (1 + z2) * std::sqrt(share * (1 - share) / n + z2 / (4 * n));
  return {std::max(0.0, center - half), std::min(1.0, center + half)};
}

double mcnemar_p(int first_only, int second_only) {
  const int n = first_only + second_only, fewer = std::min(first_only, second_only);
  double tail = 0;
  for (int k = 0; k <= fewer; ++k) {
    tail += std::exp(std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0) - n * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

std::vector<ArmSummary> summarize(const std::vector<Json>& records) {
  std::vector<ArmSummary> arms;
  for (const Json& record : records) {
    const std::string name = text_of(record, "arm");
    auto arm = std::find_if(arms.begin(), arms.end(), [&](const ArmSummary& one) { return one.arm == name; });
    if (arm == arms.end()) arm = arms.insert(arms.end(), ArmSummary{.arm = name});
    add(*arm, record);
  }
  for (ArmSummary& arm : arms) {
    for (double* sum : {&arm.trees, &arm.active_trees, &arm.calls, &arm.prompt_tokens, &arm.completion_tokens,
                        &arm.late_tokens, &arm.corrections, &arm.experts}) {
      *sum /= arm.questions;
    }
  }
  return arms;
}

std::vector<ArmComparison> compare_arms(const std::vector<Json>& records) {
  std::vector<std::string> names;
  std::map<std::string, std::map<std::string, bool>> right;
  for (const Json& record : records) {
    if (!record.contains("correct")) continue;
    const std::string name = text_of(record, "arm");
    if (right.count(name) == 0) names.push_back(name);
    right[name][text_of(record, "id")] = is_true(record, "correct");
  }
  std::vector<ArmComparison> comparisons;
  for (std::size_t i = 1; i < names.size(); ++i) {
    ArmComparison comparison{names[0], names[i]};
    for (const auto& [id, first] : right[names[0]]) {
      const auto second = right[names[i]].find(id);
      if (second == right[names[i]].end()) continue;
      comparison.first_only += first && !second->second ? 1 : 0;
      comparison.second_only += !first && second->second ? 1 : 0;
    }
    comparison.p = mcnemar_p(comparison.first_only, comparison.second_only);
    comparisons.push_back(std::move(comparison));
  }
  return comparisons;
}

}  // namespace kinglet::fot
