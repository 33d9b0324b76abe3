// What the user may choose when a checkpoint is compressed. Defaults: the paper's constants with the corrections that
// docs/excp.md lists; paper_options() gives the published settings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kinglet::excp {

enum class Scope { kTensor, kElement };  // lambda from the tensor's mean second moment, or element by element
enum class Coder : std::uint8_t { kRans = 0, kZstd = 1, kXz = 2 };

struct Options {
  bool lossless = false;

  // Pruning. Exactly one rule sets the weights' threshold r_w = lambda * median|dW|: `lambda` if given, else the
  // smallest lambda that prunes `target_sparsity` of the weights, else alpha / sqrt(mean exp_avg_sq), capped.
  // Parameters without second moments have no lambda under the third rule: nothing of them is pruned.
  std::optional<double> lambda;
  std::optional<double> target_sparsity;  // in [0, 1)
  double alpha = 5e-5;
  double lambda_cap = 2.5;
  double beta = 2.0;                // r_o = beta * mean|exp_avg|
  Scope scope = Scope::kTensor;     // kElement: lambda_i = lambda * sqrt(mean exp_avg_sq / exp_avg_sq_i), capped
  bool median_of_nonzeros = false;  // for tensors whose residual is mostly exact zeros
  bool exact_1d = false;            // 1-D tensors losslessly
  bool fill_pruned_second = false;  // restored exp_avg_sq: its row mean instead of 0 where it was pruned

  int weight_bits = 4;  // 1, 2, 4 or 8
  int moment_bits = 4;
  bool joint_mask = true;    // equation (6); without it moments are pruned by r_o alone (for experiments)
  bool joint_coding = true;  // code moments only where their mask can be set (a lossless choice of layout)
  Coder coder = Coder::kRans;
  bool fp16_codebooks = false;  // the published layout; flushes small second moments to zero
  bool sampled_kmeans = false;  // the published 25 iterations on 256 samples a centre

  bool allow_nonfinite = false;  // tensors with NaN or infinity are stored losslessly instead of refused
  int key_every = 20;            // a key frame after so many deltas
};

// The published configuration: alpha 5e-5, beta 2, 4 bits, separate nibble streams, fp16 codebooks, sampled k-means,
// xz.
Options paper_options();

// Raises Error (bad input) naming the option and its valid range.
void validate(const Options& options);

// How many classes besides "pruned" b bits can name.
inline constexpr int max_centres(int bits) { return (1 << bits) - 1; }

}  // namespace kinglet::excp
