// Learning-rate schedules: the factor for the peak rate at each optimizer step, as a pure function.
//
// A warm-up rises linearly from 0 in `warm_up_steps` steps, then:
//   constant   stays at 1
//   linear     falls in a line to `minimum_ratio` at `total_steps`
//   cosine     falls along half a cosine to `minimum_ratio` at `total_steps` (Loshchilov & Hutter 2017, without
//   restarts) wsd        warm-up, stable, decay: stays at 1 until `decay_steps` before the end, then falls to
//   `minimum_ratio`
//              (Hu et al. 2024, MiniCPM; the fall is a line, half a cosine, or 1 - sqrt of Hägele et al. 2024)
// Step 0 is the first update. After `total_steps` the last value stays. As in transformers, apart from that last point
// (there the cosine rises again) and from the warm-up of wsd, which starts at 0 here and at the minimum there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

struct Schedule {
  enum class Kind { kConstant, kLinear, kCosine, kWsd };
  enum class Decay { kLinear, kCosine, kSquareRoot };

  Kind kind = Kind::kConstant;
  std::int64_t total_steps = 0;    // not asked for by constant
  std::int64_t warm_up_steps = 0;  // <= total_steps where that counts
  std::int64_t decay_steps = 0;    // of wsd; warm_up_steps + decay_steps <= total_steps
  Decay decay = Decay::kLinear;    // of wsd
  double minimum_ratio = 0;        // of the peak rate, in [0, 1]

  // The rate of update `step` (>= 0) divided by the peak rate.
  double factor(std::int64_t step) const;

  // Raises Error (bad input) that names what does not go together.
  void check() const;
};

// "constant", "linear", "cosine", "wsd"
const std::vector<std::string>& schedule_names();
Schedule::Kind parse_schedule(std::string_view name);  // raises Error (bad input)

// ceil(ratio x total_steps), as Hugging Face's Trainer counts a warm-up that is given as a ratio.
std::int64_t steps_of_ratio(double ratio, std::int64_t total_steps);

}  // namespace kinglet
