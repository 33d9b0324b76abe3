#include "kinglet/models/decoder/cost.h"

#include <algorithm>

namespace kinglet {

double bytes_of_dtype(const std::string& dtype) { return dtype == "bfloat16" || dtype == "float16" ? 2.0 : 4.0; }

ModelCost decoder_cost(const DecoderConfig& config, std::int64_t tokens) {
  const auto s = static_cast<double>(tokens), d = static_cast<double>(config.hidden_size);
  const auto q = static_cast<double>(config.num_heads * config.head_dim);
  const auto kv = static_cast<double>(config.num_kv_heads * config.head_dim);
  const double ffn = (config.gated_ffn ? 3.0 : 2.0) * d * static_cast<double>(config.intermediate_size);
  const double weights = d * (q + 2 * kv) + q * d + ffn;
  ModelCost cost;
  cost.model_type = std::string(family_name(config.family));
  cost.tokens = tokens;
  cost.layers = config.num_layers;
  cost.block = s * weights;
  double attention = 0;  // layers with a sliding window meet fewer keys
  for (const bool windowed : config.windowed) {
    const double keys = windowed && config.window > 0 ? std::min(s, static_cast<double>(config.window)) : s;
    attention += 2 * s * keys * q;
  }
  cost.attention = attention / static_cast<double>(std::max<std::int64_t>(1, config.num_layers));
  cost.head_elements = d * static_cast<double>(config.vocabulary_size);
  cost.head = s * cost.head_elements;
  cost.parameters = parameter_count(config);
  cost.element_bytes = bytes_of_dtype(config.dtype);
  cost.table_element_bytes = cost.element_bytes;
  cost.bytes = static_cast<double>(cost.parameters) * cost.element_bytes;
  cost.elements_a_token = static_cast<double>(config.num_layers) * weights;
  cost.layer_bytes_a_token = cost.elements_a_token * cost.element_bytes;
  return cost;
}

}  // namespace kinglet
