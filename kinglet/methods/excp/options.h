// What the user may choose when a checkpoint is compressed. Defaults: the paper's constants with the corrections that
// docs/excp.md lists; paper_options() gives the published settings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kinglet::excp {

enum class Scope { kTensor, kElement };  // lambda from the tensor's mean second moment, or element by element
enum class Coder { kRans, kZstd, kXz };

struct Options {
  bool lossless = false;

  // Pruning. Exactly one rule sets the weights' threshold r_w = lambda * median|dW|: `lambda` if given, else the
  // smallest lambda that prunes `target_sparsity` of the weights, else alpha / sqrt(mean exp_avg_sq), capped.
  std::optional<double> lambda;
  std::optional<double> target_sparsity;  // in [0, 1)
  double alpha = 5e-5;
  double lambda_cap = 2.5;
  double beta = 2.0;                      // r_o = beta * mean|exp_avg|
  Scope scope = Scope::kTensor;
  bool median_of_nonzeros = false;        // for tensors whose residual is mostly exact zeros
  bool exact_1d = false;                  // 1-D tensors losslessly
  bool fill_pruned_second = false;        // restored exp_avg_sq: row mean of the kept ones instead of 0 where pruned

  int weight_bits = 4;                    // 1, 2, 4 or 8
  int moment_bits = 4;
  bool joint = true;                      // joint coding of the three index streams (lossless choice of layout)
  Coder coder = Coder::kRans;
  bool fp16_codebooks = false;            // paper mode only: the published layout
  bool sampled_kmeans = false;            // paper mode only: 25 Lloyd iterations on 256 samples a centre

  bool allow_nonfinite = false;           // tensors with NaN or infinity are stored losslessly instead of refused
  int key_every = 20;                     // a key frame after so many deltas
};

// The published configuration: alpha 5e-5, beta 2, 4 bits, separate nibble streams, fp16 codebooks, sampled k-means, xz.
Options paper_options();

// Raises Error (bad input) naming the option and its valid range.
void validate(const Options& options);

}  // namespace kinglet::excp
