#include "kinglet/methods/excp/retention.h"

#include <algorithm>
#include <map>
#include <set>

#include "kinglet/base/error.h"

namespace kinglet::excp {

std::vector<std::int64_t> choose_retained(const std::vector<StepInfo>& stored, const RetentionRule& rule) {
  std::set<std::int64_t> known, retained;
  for (const StepInfo& info : stored) known.insert(info.step);
  for (const std::int64_t step : rule.steps) {
    if (!known.contains(step)) {
      throw bad_input("--keep", fmt::format("step {} is not in the store", step),
                      "'kinglet ckpt list' shows its steps");
    }
    retained.insert(step);
  }
  if (rule.last) {
    const auto count = std::min<std::size_t>(stored.size(), static_cast<std::size_t>(*rule.last));
    for (std::size_t i = stored.size() - count; i < stored.size(); ++i) retained.insert(stored[i].step);
  }
  if (rule.every) {
    for (const StepInfo& info : stored) {
      if (info.step % *rule.every == 0) retained.insert(info.step);
    }
  }
  if (retained.empty()) {
    throw bad_input("--keep", "no step of the store would be left",
                    "keep at least one; delete the folder to be rid of the whole store");
  }
  return {retained.begin(), retained.end()};
}

std::vector<std::int64_t> removable_steps(const std::vector<StepInfo>& stored,
                                          const std::vector<std::int64_t>& retained) {
  std::map<std::int64_t, const StepInfo*> info_of;
  for (const StepInfo& info : stored) info_of[info.step] = &info;
  std::set<std::int64_t> needed;
  for (const std::int64_t wanted : retained) {
    std::optional<std::int64_t> step = wanted;
    while (step && info_of.contains(*step) && needed.insert(*step).second) step = info_of[*step]->parent;
  }
  std::vector<std::int64_t> removable;
  for (const StepInfo& info : stored) {
    if (!needed.contains(info.step)) removable.push_back(info.step);
  }
  return removable;
}

}  // namespace kinglet::excp
