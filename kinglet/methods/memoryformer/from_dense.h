// Experimental: tables from a dense layer, as a start for fine-tuning or distillation. Not in the paper.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "kinglet/models/decoder/decoder.h"

namespace kinglet {

// A row is what the dense layer makes of the mean input that the row stands for:
//   T[k, c] = E[z_k | code = c] W_k^T
// weight: [out, in], inputs: [samples, in] that the layer sees. Returns [in / bits * 2^bits, out] for score `none`;
// rows that no sample reads take each element's mean size, signed. For Gaussian inputs a look-up then explains 2 / pi
// of the variance of the dense layer's output, whatever the bits.
at::Tensor tables_from_dense(const at::Tensor& weight, const at::Tensor& inputs, int bits);

// Embeddings, head, norms and the tables of query, key and value from a GPT-NeoX (Pythia) of the same width, depth and
// heads, with `tokens` [batch, tokens] to see its activations. The output projection, which a MemoryFormer lacks, goes
// into the values as if all heads looked at the same tokens; feed-forward tables have no dense counterpart and keep
// their values. The MemoryFormer must have score none and norm_outer layernorm. Raises Error (bad input) for other
// models and shapes.
void initialize_from_neox(Decoder& memoryformer, Decoder& neox, const at::Tensor& tokens);

}  // namespace kinglet
