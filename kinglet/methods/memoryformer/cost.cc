#include "kinglet/methods/memoryformer/cost.h"

#include <nlohmann/json.hpp>

#include "kinglet/base/files.h"

namespace kinglet {

ModelCost memoryformer_cost(const MemoryFormerConfig& config, std::int64_t tokens) {
  ModelCost cost = decoder_cost(decoder_config(config), tokens);
  cost.model_type = "memoryformer";
  cost.block = 0;
  double rows = 0;  // elements that a token reads in a layer
  for (const MemoryShape& shape : {config.attention_shape(), config.attention_shape(), config.attention_shape(),
                                   config.up_shape(), config.down_shape()}) {
    cost.block += static_cast<double>(tokens) * static_cast<double>(shape.tables * (shape.bits + shape.width));
    rows += static_cast<double>(shape.tables * shape.width);
  }
  cost.parameters = parameter_count(config);
  cost.table_elements = table_elements(config);
  cost.elements_a_token = static_cast<double>(config.num_layers) * rows;
  return cost;
}

ModelCost read_model_cost(const std::filesystem::path& path, std::int64_t tokens) {
  const std::filesystem::path file = std::filesystem::is_directory(path) ? path / "config.json" : path;
  const Bytes bytes = read_file(file, 1 << 24);
  const nlohmann::json document = nlohmann::json::parse(as_text(bytes), nullptr, false);
  const bool is_memoryformer =
      document.is_object() && document.contains("model_type") && document["model_type"] == "memoryformer";
  if (is_memoryformer) return memoryformer_cost(parse_memoryformer_config(as_text(bytes), file.string()), tokens);
  return decoder_cost(parse_decoder_config(as_text(bytes), file.string()), tokens);
}

}  // namespace kinglet
