// The classes of each row in the order of a teacher's probability.
#pragma once

#include <ATen/core/Tensor.h>

namespace kinglet::mgsr {

// The class of each rank, the likeliest first; equal values in the order of their classes. values: [rows, classes] fp32
// or fp64, no NaN; returns [rows, classes] int64.
at::Tensor descending_order(const at::Tensor& values);

}  // namespace kinglet::mgsr
