// What a rotary position embedding is made from (rotary.h); without LibTorch, for readers of model files.
#pragma once

#include <cstdint>
#include <vector>

namespace kinglet::nn {

// How the frequencies are stretched for contexts beyond the trained one.
struct RotaryScaling {
  enum class Kind { kNone, kLinear, kLlama3 };
  Kind kind = Kind::kNone;
  double factor = 1.0;
  double low_frequency_factor = 1.0;   // kLlama3
  double high_frequency_factor = 4.0;  // kLlama3
  double original_context = 8192.0;    // kLlama3

  bool operator==(const RotaryScaling&) const = default;
};

struct RotarySettings {
  std::int64_t rotary_dim = 0;  // even; the first dimensions of a head; 0 = none
  double theta = 10000.0;
  RotaryScaling scaling;
  std::vector<double> divisors;  // [rotary_dim / 2] or empty: each frequency is divided by its own

  bool operator==(const RotarySettings&) const = default;
};

}  // namespace kinglet::nn
