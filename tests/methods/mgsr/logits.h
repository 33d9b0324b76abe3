// Logits for tests of losses: the example of the golden checks, random ones, and derivatives by differences.
#pragma once

#include <functional>

#include "kinglet/base/rng.h"
#include "kinglet/nn/torch.h"

namespace kinglet::testing_support {

inline at::Tensor numbers(const std::vector<std::vector<double>>& rows) {
  std::vector<at::Tensor> all;
  for (const auto& row : rows) all.push_back(at::tensor(row, at::kDouble));
  return at::stack(all);
}

inline at::Tensor random_logits(std::int64_t rows, std::int64_t classes, double spread, std::uint64_t seed) {
  Rng rng(seed);
  at::Tensor logits = at::empty({rows, classes}, at::kDouble);
  for (std::int64_t i = 0; i < logits.numel(); ++i) logits.data_ptr<double>()[i] = spread * rng.normal();
  return logits;
}

// The gradient of a scalar function of doubles, by central differences.
inline at::Tensor differences(const at::Tensor& at, const std::function<double(const at::Tensor&)>& function) {
  constexpr double kStep = 1e-6;
  at::Tensor gradient = at::zeros_like(at), moved = at.clone();
  for (std::int64_t i = 0; i < at.numel(); ++i) {
    double& value = moved.data_ptr<double>()[i];
    const double here = value;
    value = here + kStep;
    const double above = function(moved);
    value = here - kStep;
    gradient.data_ptr<double>()[i] = (above - function(moved)) / (2 * kStep);
    value = here;
  }
  return gradient;
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

}  // namespace kinglet::testing_support
