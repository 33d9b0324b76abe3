// How far a tensor is from what it should be.
#pragma once

#include "kinglet/nn/torch.h"

namespace kinglet::testing_support {

// |a - b| / |b|, Euclidean, in double precision.
inline double relative_distance(const at::Tensor& a, const at::Tensor& b) {
  return ((a.to(at::kDouble) - b.to(at::kDouble)).norm() / (b.to(at::kDouble).norm() + 1e-12)).item<double>();
}

}  // namespace kinglet::testing_support
