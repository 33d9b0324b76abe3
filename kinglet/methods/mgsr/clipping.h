// DAC-KL: the Kullback-Leibler divergence over a band of the teacher's classes and its likeliest class (paper
// 2407.10068, Eq. 5-8; the exact form is not public, docs/mgsr.md says what was chosen and why).
//
// Every class v of a row has a coordinate F[v] in (0, 1), by the teacher alone, that is near 1 for likely classes. A
// soft mask keeps those between a lower limit l and an upper limit u, and always the likeliest class c*:
//
//   lambda[v] = log sigmoid((F[v] - l) / eta) + log sigmoid((u - F[v]) / eta),   lambda[c*] = 0
//   L = KL(softmax(t + lambda) || softmax(s + lambda))
//
// Adding lambda to logits is multiplying probabilities by the mask and making them sum to 1 again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kinglet/methods/mgsr/distributions.h"

namespace kinglet::mgsr {

enum class BandCoordinate {
  kLogRank,  // 1 - log(1 + r) / log(1 + V), r = 0 for c*
  kRank,     // (V - r - 1/2) / V
  kValue,    // p[v] / p[c*]
  kMass,     // sum of the probabilities up to v, the smallest first
};
const std::vector<std::string>& coordinate_names();  // "log-rank", "rank", "value", "mass"
BandCoordinate parse_coordinate(std::string_view name);

struct BandSettings {
  BandCoordinate coordinate = BandCoordinate::kLogRank;
  double softness = 0.05;     // eta
  bool renormalise = true;    // false: sum of mask p (log p - log q), which can be negative
  bool target_twice = false;  // c* stands inside the mask too, as the paper's vector of M + 1 elements may mean
};

// Rows in the order of the teacher's probability.
struct RankedRows {
  at::Tensor order;         // [rows, V] int64: the class of each rank
  at::Tensor log_p, log_q;  // [rows, V] by rank
};
RankedRows rank_rows(const Distributions& rows);

struct BandLosses {
  RowLosses student;                  // the gradient by class again
  at::Tensor lower, upper;            // [rows]: gradients of each row's loss for its limits
  at::Tensor kept_mass;               // [rows]: kappa = sum mask p, c* among it
  at::Tensor kept_classes;            // [rows]: sum of the mask
  at::Tensor mass_lower, mass_upper;  // [rows]: gradients of kept_mass for the limits
};

// lower, upper: [rows]; the coordinate and c* are constants.
BandLosses band_losses(const RankedRows& rows, const at::Tensor& lower, const at::Tensor& upper,
                       const BandSettings& settings);

}  // namespace kinglet::mgsr
