// Where the sequences of a step come from: the data, the student, the teacher, or what the student wrote before.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/base/rng.h"
#include "kinglet/methods/mgsr/example.h"

namespace kinglet::mgsr {

enum class SequencePolicy {
  kOffline,   // the data, always
  kOnPolicy,  // the student, always
  kMixed,     // the student with probability `mixed_share`, else the data (GKD; with 1, ImitKD)
  kAdaptive,  // DistiLLM's: see sequence_source()
  kTeacher,   // the teacher, always (SeqKD)
};
const std::vector<std::string>& policy_names();  // "offline", "on-policy", "mixed", "adaptive", "teacher"
SequencePolicy parse_policy(std::string_view name);

enum class SequenceSource { kData, kStudent, kReplay, kTeacher };

enum class ReplayTrend { kDecreasing, kConstant, kIncreasing };  // phi (1 - g/G), phi / 2, phi g/G
const std::vector<std::string>& trend_names();                   // "decreasing", "constant", "increasing"
ReplayTrend parse_trend(std::string_view name);

struct ScheduleSettings {
  SequencePolicy policy = SequencePolicy::kOffline;
  double mixed_share = 0.5;
  double first_threshold = 0.0;  // phi at the start
  double loss_margin = 0.1;      // phi grows when the validation loss has grown by so much
  double threshold_step = 0.1;
  ReplayTrend trend = ReplayTrend::kDecreasing;
  std::size_t buffer_capacity = 1000;  // sequences
};

// The source for a draw `u` in [0, 1) at step `step` of `steps`:
//   adaptive: with s = phi (1 - step / steps), the student if u < s or (u < phi and the buffer is not full); the buffer
//   if u < phi; else the data. A buffer that holds no batch yet is the data.
SequenceSource sequence_source(const ScheduleSettings& settings, double threshold, double u, std::int64_t step,
                               std::int64_t steps, std::size_t buffered, std::size_t batch);

// The threshold phi, which follows the validation loss.
struct AdaptiveThreshold {
  double threshold = 0.0;
  std::optional<double> previous_loss;
  void note(double validation_loss, const ScheduleSettings& settings);
};

// The student's last sequences, the oldest out first.
class ReplayBuffer {
 public:
  explicit ReplayBuffer(std::size_t capacity) : capacity_(capacity) {}
  void push(const Example& example);
  std::vector<Example> draw(std::size_t count, Rng& rng) const;  // different ones; needs size() >= count
  std::size_t size() const { return examples_.size(); }
  const std::deque<Example>& examples() const { return examples_; }
  void clear() { examples_.clear(); }

 private:
  std::size_t capacity_;
  std::deque<Example> examples_;
};

}  // namespace kinglet::mgsr
