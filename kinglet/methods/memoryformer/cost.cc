#include "kinglet/methods/memoryformer/cost.h"

#include <nlohmann/json.hpp>

#include "kinglet/base/files.h"

namespace kinglet {

ModelCost memoryformer_cost(const MemoryFormerConfig& config, std::int64_t tokens) {
  ModelCost cost = decoder_cost(decoder_config(config), tokens);
  cost.model_type = "memoryformer";
  cost.block = 0;
  double elements = 0;              // that a token reads in a layer
  std::int64_t rows = 0, read = 0;  // of a layer's tables, and those that a token reads
  for (const MemoryShape& shape : {config.attention_shape(), config.attention_shape(), config.attention_shape(),
                                   config.up_shape(), config.down_shape()}) {
    cost.block += static_cast<double>(tokens) * static_cast<double>(shape.tables * (shape.bits + shape.width));
    elements += static_cast<double>(shape.tables * shape.width);
    rows += shape.rows();
    read += shape.tables;
  }
  const auto layers = static_cast<double>(config.num_layers);
  const double row_bytes = config.int8_tables ? sizeof(float) : 0.0;  // beside its elements: a factor
  cost.parameters = parameter_count(config);
  cost.table_elements = table_elements(config);
  if (config.int8_tables) cost.table_element_bytes = 1.0;
  const auto tables = static_cast<double>(cost.table_elements), all = static_cast<double>(cost.parameters);
  cost.table_bytes = tables * cost.table_element_bytes + layers * static_cast<double>(rows) * row_bytes;
  cost.bytes = (all - tables) * cost.element_bytes + cost.table_bytes;
  cost.elements_a_token = layers * elements;
  cost.layer_bytes_a_token =
      cost.elements_a_token * cost.table_element_bytes + layers * static_cast<double>(read) * row_bytes;
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
