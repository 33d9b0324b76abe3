#include "kinglet/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

double half_cosine(double progress) { return 0.5 * (1 + std::cos(std::numbers::pi * progress)); }

double decayed(Schedule::Decay decay, double progress) {
  switch (decay) {
    case Schedule::Decay::kCosine:
      return half_cosine(progress);
    case Schedule::Decay::kSquareRoot:
      return 1 - std::sqrt(progress);
    case Schedule::Decay::kLinear:
      break;
  }
  return 1 - progress;
}

// How much of the way from `begin` to `end` lies behind `step`, in [0, 1].
double progress_between(std::int64_t begin, std::int64_t end, std::int64_t step) {
  if (step >= end) return 1;
  if (step <= begin) return 0;
  return static_cast<double>(step - begin) / static_cast<double>(end - begin);
}

}  // namespace

double Schedule::factor(std::int64_t step) const {
  if (step < warm_up_steps) return static_cast<double>(step) / static_cast<double>(warm_up_steps);
  double left = 1;  // of the way from the minimum to the peak
  switch (kind) {
    case Kind::kConstant:
      return 1;
    case Kind::kLinear:
      left = 1 - progress_between(warm_up_steps, total_steps, step);
      break;
    case Kind::kCosine:
      left = half_cosine(progress_between(warm_up_steps, total_steps, step));
      break;
    case Kind::kWsd:
      left = decayed(decay, progress_between(total_steps - decay_steps, total_steps, step));
      break;
  }
  return minimum_ratio + (1 - minimum_ratio) * left;
}

void Schedule::check() const {
  const auto refuse = [](std::string_view what) { return bad_input("learning-rate schedule", what); };
  if (warm_up_steps < 0 || decay_steps < 0) throw refuse("numbers of steps must not be negative");
  if (!(minimum_ratio >= 0 && minimum_ratio <= 1)) throw refuse("the minimum ratio must be between 0 and 1");
  if (kind == Kind::kConstant) return;
  if (total_steps < 1) throw refuse("the number of steps must be known");
  const std::int64_t needed = warm_up_steps + (kind == Kind::kWsd ? decay_steps : 0);
  if (needed > total_steps) {
    throw refuse(fmt::format("warm-up{} of {} steps do not fit into {}", kind == Kind::kWsd ? " and decay" : "", needed,
                             total_steps));
  }
}

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names = {"constant", "linear", "cosine", "wsd"};
  return names;
}

Schedule::Kind parse_schedule(std::string_view name) {
  const auto& names = schedule_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw bad_input("learning-rate schedule",
                    fmt::format("'{}' is unknown, must be one of {}", name, fmt::join(names, ", ")));
  }
  return static_cast<Schedule::Kind>(found - names.begin());
}

std::int64_t steps_of_ratio(double ratio, std::int64_t total_steps) {
  return static_cast<std::int64_t>(std::ceil(ratio * static_cast<double>(total_steps)));
}

}  // namespace kinglet
