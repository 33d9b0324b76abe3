// RMS normalisation of rows, forward and backward, one pass over memory each.
#pragma once

#include <cstdint>

namespace kinglet {

// out[r] = x[r] * inverse[r] * (offset + weight), inverse[r] = 1 / sqrt(mean(x[r]^2) + eps).
// x, out: [rows, dim]; weight: [dim]; inverse: [rows] or null.
void rms_norm_forward(std::int64_t rows, std::int64_t dim, double eps, float offset, const float* x,
                      const float* weight, float* out, float* inverse);

// grad_x [rows, dim] and grad_weight [dim], both overwritten. The sum over rows has an order that depends on the number
// of rows alone, not on the threads.
void rms_norm_backward(std::int64_t rows, std::int64_t dim, float offset, const float* x, const float* weight,
                       const float* inverse, const float* grad_out, float* grad_x, float* grad_weight);

}  // namespace kinglet
