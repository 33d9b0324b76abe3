#include "kinglet/kernels/soft_band.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/soft_band.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kinglet/kernels/loops.h"
#include "kinglet/kernels/vector_math.h"

#ifndef KINGLET_SOFT_BAND_SUMS
#define KINGLET_SOFT_BAND_SUMS
namespace kinglet {
namespace {

// Sums over a row. P and Q are weighted probabilities, those of the student over its largest one; D = log p - log q.
enum Sum { kP, kQ, kPD, kPLower, kPUpper, kQLower, kQUpper, kPDLower, kPDUpper, kWeights, kSums };

}  // namespace
}  // namespace kinglet
#endif

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
KINGLET_SCALAR_LOOPS
#endif
namespace kinglet {
namespace HWY_NAMESPACE {

float LargestLogProbability(const float* x, std::size_t n) { return Maximum(x, n); }

struct BandTerms {
  float p, q;                // weighted
  float weight;              // w
  float by_lower, by_upper;  // d log w / d limit, times the softness
};

HWY_INLINE BandTerms TermsOf(float log_p, float log_q, float place, float lower, float upper, float inverse) {
  // 1 - sigmoid(a) as e^-a sigmoid(a): exact where the sigmoid is close to 1.
  const float below = Exp((lower - place) * inverse), above = Exp((place - upper) * inverse);
  const float left = 1.0F / (1.0F + below), right = 1.0F / (1.0F + above);
  const float weight = left * right;
  return {Exp(log_p) * weight, Exp(log_q) * weight, weight, -below * left, above * right};
}

// Classes [begin, n); P goes to `weighted`, Q to `gradient`. log_q is taken less `largest`.
void SumBand(const float* HWY_RESTRICT log_p, const float* HWY_RESTRICT log_q, const float* HWY_RESTRICT places,
             std::size_t n, float lower, float upper, float inverse, float largest, float* HWY_RESTRICT weighted,
             float* HWY_RESTRICT gradient, float* HWY_RESTRICT sums) {
  float part[kSums][kLanes] = {};
  const auto take = [&](std::size_t i, std::size_t lane) HWY_ATTR {
    const BandTerms terms = TermsOf(log_p[i], log_q[i] - largest, places[i], lower, upper, inverse);
    const float difference = log_p[i] - log_q[i];
    weighted[i] = terms.p;
    gradient[i] = terms.q;
    part[kP][lane] += terms.p;
    part[kQ][lane] += terms.q;
    part[kPD][lane] += terms.p * difference;
    part[kPLower][lane] += terms.p * terms.by_lower;
    part[kPUpper][lane] += terms.p * terms.by_upper;
    part[kQLower][lane] += terms.q * terms.by_lower;
    part[kQUpper][lane] += terms.q * terms.by_upper;
    part[kPDLower][lane] += terms.p * difference * terms.by_lower;
    part[kPDUpper][lane] += terms.p * difference * terms.by_upper;
    part[kWeights][lane] += terms.weight;
  };
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) take(i + lane, lane);
  }
  for (; i < n; ++i) take(i, 0);
  for (std::size_t sum = 0; sum < kSums; ++sum) sums[sum] = Total(part[sum]);
}

// gradient: Q becomes q - p.
void GradientOfBand(const float* HWY_RESTRICT weighted, std::size_t n, float p_scale, float q_scale,
                    float* HWY_RESTRICT gradient) {
  for (std::size_t i = 0; i < n; ++i) gradient[i] = gradient[i] * q_scale - weighted[i] * p_scale;
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <algorithm>
#include <array>
#include <cassert>
#include <vector>

namespace kinglet {

HWY_EXPORT(LargestLogProbability);
HWY_EXPORT(SumBand);
HWY_EXPORT(GradientOfBand);

namespace {

constexpr std::size_t kSoftBandPiece = 2048;  // classes that are summed in fp32; the pieces are in double

}  // namespace

bool soft_band_row(const SoftBand& band, const float* log_p, const float* log_q, const float* places,
                   std::int64_t classes, float* gradient, SoftBandResult& result) {
  assert(classes > 0 && band.softness > 0);
  const auto n = static_cast<std::size_t>(classes);
  thread_local std::vector<float> weighted;
  weighted.resize(n);
  const float largest = HWY_DYNAMIC_DISPATCH(LargestLogProbability)(log_q, n), inverse = 1.0F / band.softness;
  // The first class: weight 1, whatever the limits.
  weighted[0] = std::exp(log_p[0]);
  gradient[0] = std::exp(log_q[0] - largest);
  std::array<double, kSums> sums{};
  sums[kP] = static_cast<double>(weighted[0]);
  sums[kQ] = static_cast<double>(gradient[0]);
  sums[kPD] = sums[kP] * static_cast<double>(log_p[0] - log_q[0]);
  sums[kWeights] = 1.0;
  for (std::size_t begin = 1; begin < n; begin += kSoftBandPiece) {
    const std::size_t count = std::min(kSoftBandPiece, n - begin);
    std::array<float, kSums> piece;
    HWY_DYNAMIC_DISPATCH(SumBand)
    (log_p + begin, log_q + begin, places + begin, count, band.lower, band.upper, inverse, largest,
     weighted.data() + begin, gradient + begin, piece.data());
    for (std::size_t i = 0; i < kSums; ++i) sums[i] += static_cast<double>(piece[i]);
  }
  constexpr double kLeast = 1e-25;  // far above what Exp() loses at its lower end
  if (!(sums[kP] > kLeast && sums[kQ] > kLeast)) return false;
  const double p = sums[kP], q = sums[kQ], slope = static_cast<double>(inverse);
  const double mean = sums[kPD] / p;
  result.loss = static_cast<float>(mean - std::log(p) + std::log(q) + static_cast<double>(largest));
  const auto by_limit = [&](Sum with_p, Sum with_q, Sum with_pd) {
    return static_cast<float>(slope * ((sums[with_pd] - (mean + 1.0) * sums[with_p]) / p + sums[with_q] / q));
  };
  result.by_lower = by_limit(kPLower, kQLower, kPDLower);
  result.by_upper = by_limit(kPUpper, kQUpper, kPDUpper);
  result.kept_mass = static_cast<float>(p);
  result.kept_classes = static_cast<float>(sums[kWeights]);
  result.mass_by_lower = static_cast<float>(slope * sums[kPLower]);
  result.mass_by_upper = static_cast<float>(slope * sums[kPUpper]);
  HWY_DYNAMIC_DISPATCH(GradientOfBand)
  (weighted.data(), n, static_cast<float>(1.0 / p), static_cast<float>(1.0 / q), gradient);
  return true;
}

}  // namespace kinglet
#endif  // HWY_ONCE
