// Rotary position embedding (Su et al. 2021, "RoFormer", section 3.2.2), halves convention: dimension i turns together
// with dimension i + rotary_dim / 2, as in GPT-NeoX and Llama.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

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

// Angles for a set of positions: cos and sin, each [batch or 1, tokens, rotary_dim / 2] fp32.
struct RotaryAngles {
  at::Tensor cos, sin;
};

// Radians a position; [rotary_dim / 2].
std::vector<double> rotary_frequencies(const RotarySettings& settings);
// positions: [batch or 1, tokens] int64.
RotaryAngles rotary_angles(const RotarySettings& settings, const at::Tensor& positions);
// x: [batch, tokens, heads, head_dim], head_dim >= rotary_dim; the other dimensions pass. With autograd.
at::Tensor apply_rotary(const at::Tensor& x, const RotaryAngles& angles);

}  // namespace kinglet::nn
