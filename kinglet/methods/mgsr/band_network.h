// The small network of DAC-KL that chooses the limits of the band, row by row; thrown away after training.
//
// Input of a row: the teacher's largest log-probabilities in falling order, the student's of the same classes, the
// entropy of both, and the largest probability of both. Two hidden layers with GELU give (a, b); then l = sigmoid(a)
// and u = l + (1 - l) sigmoid(b), so that 0 < l < u < 1. It starts at l = 0.05, u = 0.95 for every row: near the plain
// KL.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kinglet/methods/mgsr/clipping.h"
#include "kinglet/train/adamw.h"

namespace kinglet::mgsr {

class BandNetwork {
 public:
  // Sees the `seen` likeliest classes, at most the whole vocabulary.
  BandNetwork(std::int64_t vocabulary, std::int64_t seen, std::uint64_t seed);

  // [rows, 2 seen + 4] fp32, without gradient: what the network sees must not be a way to please it.
  at::Tensor features(const RankedRows& rows) const;

  // lower, upper: [rows], with autograd for `parameters` (in the order of parameters()).
  static std::pair<at::Tensor, at::Tensor> limits(const at::Tensor& features,
                                                  const std::vector<at::Tensor>& parameters);

  // "input.weight", "input.bias", "hidden.weight" ... "output.bias"; fp32 with requires_grad.
  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  std::vector<at::Tensor> values() const;

 private:
  std::int64_t seen_;
  std::vector<NamedParameter> parameters_;
};

}  // namespace kinglet::mgsr
