// Where a family keeps the decoder's parameters: names and layouts of its checkpoints, in both directions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kinglet/models/decoder/config.h"

namespace kinglet {

enum class WeightLayout {
  kPlain,              // as the parameter
  kTransposed,         // [in, out] (GPT-2's Conv1D)
  kStacked,            // the parts below each other in the first dimension
  kStackedTransposed,  // the parts side by side: [in, sum of out] (GPT-2's c_attn)
  kHeadwise,           // query, key and value of head 0, then of head 1 ... (GPT-NeoX)
};

struct WeightEntry {
  std::string name;  // in the file
  WeightLayout layout = WeightLayout::kPlain;
  std::vector<std::string> parameters;  // of the decoder (decoder.h)
};

// Every parameter of the decoder, once; in the order of the family's own modules.
std::vector<WeightEntry> weight_entries(const DecoderConfig& config);

// The file's tensor from the parameters, and back. Linear and exact, so that optimizer moments take the same way.
// unpack(): a tensor whose shape does not fit raises Error (bad input) without place; `parts` are the parameters'
// shapes. GPT-NeoX needs the number of heads.
at::Tensor pack_weight(WeightLayout layout, const std::vector<at::Tensor>& parts, std::int64_t num_heads);
std::vector<at::Tensor> unpack_weight(WeightLayout layout, const at::Tensor& packed,
                                      const std::vector<std::vector<std::int64_t>>& parts, std::int64_t num_heads);

// Other names under which files hold the same tensor: older or bare exports leave out a prefix, vision-language models
// add one.
std::vector<std::string> alternative_names(const DecoderConfig& config, const std::string& name);

}  // namespace kinglet
