// The divergence of two distributions over a soft band of classes (DAC-KL, paper 2407.10068, Eq. 5-8), with everything
// that is derived from it, in one pass over a row.
#pragma once

#include <cstdint>

namespace kinglet {

// Where a class has the place F, its weight is sigmoid((F - lower) / softness) sigmoid((upper - F) / softness); the
// first class of a row has the weight 1.
struct SoftBand {
  float lower = 0.0F, upper = 1.0F;
  float softness = 0.05F;  // > 0
};

// All derivatives are those of the row's own values; p and q are the weighted distributions, summing to 1.
struct SoftBandResult {
  float loss = 0.0F;                            // sum p (log p - log q)
  float by_lower = 0.0F, by_upper = 0.0F;       // d loss / d limit
  float kept_mass = 0.0F, kept_classes = 0.0F;  // sum of weight x teacher's probability; sum of the weights
  float mass_by_lower = 0.0F, mass_by_upper = 0.0F;
};

// log_p, log_q: log-probabilities of teacher and student, places: of each class, all [classes]. gradient: [classes],
// becomes q - p: of the loss for the student's logits. Returns false, with unspecified results, when so little of the
// student's probability is in the band that single precision cannot say how much.
bool soft_band_row(const SoftBand& band, const float* log_p, const float* log_q, const float* places,
                   std::int64_t classes, float* gradient, SoftBandResult& result);

}  // namespace kinglet
