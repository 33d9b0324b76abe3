// Rotary position embedding (Su et al. 2021, "RoFormer", section 3.2.2), halves convention: dimension i turns together
// with dimension i + rotary_dim / 2, as in GPT-NeoX and Llama.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kinglet/nn/rotary_settings.h"

namespace kinglet::nn {

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
