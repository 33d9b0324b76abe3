// The gate of a feed-forward block, forward and backward, one pass over memory each.
#pragma once

#include <cstdint>

namespace kinglet {

// out = silu(gate) * up, element by element; silu(x) = x / (1 + e^-x).
void silu_gate_forward(std::int64_t n, const float* gate, const float* up, float* out);
void silu_gate_backward(std::int64_t n, const float* gate, const float* up, const float* grad_out, float* grad_gate,
                        float* grad_up);

}  // namespace kinglet
