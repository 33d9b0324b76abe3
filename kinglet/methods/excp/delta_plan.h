// The decisions of one delta, made in streaming passes before anything is coded: thresholds from equations (2), (3) and
// (5), masks (4) and (6), codebooks (8).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kinglet/methods/excp/delta_blocks.h"
#include "kinglet/methods/excp/delta_codec.h"

namespace kinglet::excp {

struct DeltaPlan {
  double lambda = 0;  // effective; with Scope::kElement the one at the mean second moment
  float weight_threshold = 0;
  float moment_threshold = 0;
  bool joint_mask = true;  // false for frozen tensors: their moments are pruned by r_o alone
  std::uint64_t zero_residuals = 0;
  std::uint64_t weights_kept = 0, moments_kept = 0;
  double element_scale = 0;  // Scope::kElement: lambda_i = min(cap, scale / sqrt(exp_avg_sq_i)); else 0
  double element_cap = 0;

  std::array<Codebook, kStreams> codebooks;
  std::array<std::vector<float>, kStreams> boundaries;  // between neighbouring centres; size - 1 of them
  std::vector<float> row_means;
  std::uint64_t row_length = 0;
};

// Raises NonFiniteValues or Error as encode_delta.
DeltaPlan plan_delta(const DeltaInput& input, const Options& options);

// The masks of one window: kKeepWeight and kKeepMoment bits. flags: [window.n]; scratch: [window.n].
struct Kept {
  std::size_t weights = 0, moments = 0;
};
Kept keep_flags(const Window& window, const DeltaPlan& plan, float* scratch, std::uint8_t* flags);

// Equation (2): min(cap, alpha / sqrt(mean of exp_avg_sq)); the cap where the mean is 0.
double effective_lambda(double alpha, double mean_second_moment, double cap);

}  // namespace kinglet::excp
