#include "kinglet/methods/mgsr/schedule.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet::mgsr {
namespace {

template <typename Kind>
Kind parse_name(std::string_view name, const std::vector<std::string>& names, std::string_view what) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw bad_input("", fmt::format("no {} is called '{}'", what, name),
                    fmt::format("choose one of: {}", fmt::join(names, ", ")));
  }
  return static_cast<Kind>(found - names.begin());
}

double student_share(const ScheduleSettings& settings, double threshold, std::int64_t step, std::int64_t steps) {
  const double done = steps > 0 ? static_cast<double>(step) / static_cast<double>(steps) : 0.0;
  switch (settings.trend) {
    case ReplayTrend::kDecreasing:
      return threshold * (1.0 - done);
    case ReplayTrend::kConstant:
      return threshold * 0.5;
    case ReplayTrend::kIncreasing:
      return threshold * done;
  }
  return 0.0;
}

}  // namespace

const std::vector<std::string>& policy_names() {
  static const std::vector<std::string> names = {"offline", "on-policy", "mixed", "adaptive", "teacher"};
  return names;
}
SequencePolicy parse_policy(std::string_view name) {
  return parse_name<SequencePolicy>(name, policy_names(), "policy");
}

const std::vector<std::string>& trend_names() {
  static const std::vector<std::string> names = {"decreasing", "constant", "increasing"};
  return names;
}
ReplayTrend parse_trend(std::string_view name) { return parse_name<ReplayTrend>(name, trend_names(), "trend"); }

SequenceSource sequence_source(const ScheduleSettings& settings, double threshold, double u, std::int64_t step,
                               std::int64_t steps, std::size_t buffered, std::size_t batch) {
  switch (settings.policy) {
    case SequencePolicy::kOffline:
      return SequenceSource::kData;
    case SequencePolicy::kOnPolicy:
      return SequenceSource::kStudent;
    case SequencePolicy::kTeacher:
      return SequenceSource::kTeacher;
    case SequencePolicy::kMixed:
      return u < settings.mixed_share ? SequenceSource::kStudent : SequenceSource::kData;
    case SequencePolicy::kAdaptive:
      break;
  }
  const bool full = buffered >= settings.buffer_capacity;
  if (u < student_share(settings, threshold, step, steps) || (u < threshold && !full)) return SequenceSource::kStudent;
  return u < threshold && buffered >= batch ? SequenceSource::kReplay : SequenceSource::kData;
}

void AdaptiveThreshold::note(double validation_loss, const ScheduleSettings& settings) {
  if (previous_loss && validation_loss >= *previous_loss + settings.loss_margin) {
    threshold = std::min(1.0, threshold + settings.threshold_step);
  }
  previous_loss = validation_loss;
}

void ReplayBuffer::push(const Example& example) {
  examples_.push_back(example);
  while (examples_.size() > capacity_) examples_.pop_front();
}

std::vector<Example> ReplayBuffer::draw(std::size_t count, Rng& rng) const {
  std::vector<std::size_t> numbers(examples_.size());
  std::iota(numbers.begin(), numbers.end(), std::size_t{0});
  std::vector<Example> drawn;
  for (std::size_t i = 0; i < std::min(count, numbers.size()); ++i) {
    std::swap(numbers[i], numbers[i + rng.below(numbers.size() - i)]);
    drawn.push_back(examples_[numbers[i]]);
  }
  return drawn;
}

}  // namespace kinglet::mgsr
