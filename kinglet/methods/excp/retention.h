// Which steps of a store stay when old ones are removed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kinglet/methods/excp/manifest.h"

namespace kinglet::excp {

// A step stays when any rule wants it.
struct RetentionRule {
  std::vector<std::int64_t> steps;
  std::optional<std::int64_t> last;   // the newest so many
  std::optional<std::int64_t> every;  // multiples of this number
};

// Ascending. Raises Error (bad input) when a named step is not stored, and when nothing would be left.
std::vector<std::int64_t> choose_retained(const std::vector<StepInfo>& stored, const RetentionRule& rule);

// The steps that neither are retained nor are ancestors of a retained one: what Store::collect_garbage removes.
std::vector<std::int64_t> removable_steps(const std::vector<StepInfo>& stored,
                                          const std::vector<std::int64_t>& retained);

}  // namespace kinglet::excp
