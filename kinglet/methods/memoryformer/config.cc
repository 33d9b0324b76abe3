#include "kinglet/methods/memoryformer/config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/log.h"

namespace kinglet {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

template <typename Kind>
Kind parse_name(const std::vector<std::string>& names, std::string_view name, std::string_view what,
                std::string_view where) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw bad_input(where, fmt::format("{} '{}' is not known", what, name),
                    fmt::format("known are {}", fmt::join(names, ", ")));
  }
  return static_cast<Kind>(found - names.begin());
}

// config.json, field by field.
class Fields {
 public:
  Fields(const json& object, std::string_view where) : object_(object), where_(where) {
    if (!object.is_object()) throw bad_input(where, "expected a JSON object", "fetch the file again");
  }
  std::int64_t integer(const char* name) const {
    const json& value = at(name);
    if (!value.is_number_integer()) refuse(name, "an integer");
    return value.get<std::int64_t>();
  }
  int small(const char* name) const {
    const std::int64_t value = integer(name);
    if (value < 0 || value > 64) refuse(name, "between 0 and 64");
    return static_cast<int>(value);
  }
  double number(const char* name) const {
    const json& value = at(name);
    if (!value.is_number()) refuse(name, "a number");
    return value.get<double>();
  }
  std::string text(const char* name) const {
    const json& value = at(name);
    if (!value.is_string()) refuse(name, "text");
    return value.get<std::string>();
  }
  std::string text(const char* name, const char* standard) const {
    return object_.contains(name) ? text(name) : standard;
  }
  std::vector<std::int64_t> ids(const char* name) const {
    std::vector<std::int64_t> all;
    if (!object_.contains(name) || object_.at(name).is_null()) return all;
    const json& value = object_.at(name);
    for (const json& one : value.is_array() ? value : json::array({value})) {
      if (!one.is_number_integer()) refuse(name, "token ids");
      all.push_back(one.get<std::int64_t>());
    }
    return all;
  }

 private:
  const json& at(const char* name) const {
    if (!object_.contains(name)) {
      throw bad_input(where_, fmt::format("'{}' is missing", name), "nothing is guessed: add it to config.json");
    }
    return object_.at(name);
  }
  [[noreturn]] void refuse(const char* name, const char* wanted) const {
    throw bad_input(where_, fmt::format("'{}' must be {}", name, wanted));
  }
  const json& object_;
  std::string_view where_;
};

// The divisor of `size` nearest to `bits`.
int nearest_bits(std::int64_t size, int bits) {
  int best = 1;
  for (int candidate = 1; candidate <= kMostMemoryBits; ++candidate) {
    if (size % candidate == 0 && std::abs(candidate - bits) < std::abs(best - bits)) best = candidate;
  }
  return best;
}

}  // namespace

const std::vector<std::string>& memory_score_names() {
  static const std::vector<std::string> names = {"prob", "sum_prob", "adaptive_temp", "none"};
  return names;
}
std::string_view memory_score_name(MemoryScore score) { return memory_score_names()[static_cast<std::size_t>(score)]; }
MemoryScore parse_memory_score(std::string_view name, std::string_view where) {
  return parse_name<MemoryScore>(memory_score_names(), name, "score", where);
}

const std::vector<std::string>& outer_norm_names() {
  static const std::vector<std::string> names = {"rmsnorm", "layernorm", "none"};
  return names;
}
std::string_view outer_norm_name(OuterNorm norm) { return outer_norm_names()[static_cast<std::size_t>(norm)]; }
OuterNorm parse_outer_norm(std::string_view name, std::string_view where) {
  return parse_name<OuterNorm>(outer_norm_names(), name, "norm_outer", where);
}

void check_memoryformer(const MemoryFormerConfig& config, std::string_view where) {
  const auto refuse = [&](const std::string& problem, const std::string& remedy) {
    throw bad_input(where, problem, remedy);
  };
  if (config.bits < 1 || config.bits + config.expanding_bits > kMostMemoryBits || config.expanding_bits < 0) {
    refuse(fmt::format("{} bits and {} expanding bits a table", config.bits, config.expanding_bits),
           fmt::format("a table has 1 to {} bits in all", kMostMemoryBits));
  }
  if (config.num_layers < 1 || config.num_layers > 4096) {
    refuse(fmt::format("num_hidden_layers is {}", config.num_layers), "1 to 4096 are allowed");
  }
  if (config.hidden_size < 1 || config.hidden_size > 1 << 16) {
    refuse(fmt::format("hidden_size is {}", config.hidden_size), "1 to 65536 are allowed");
  }
  if (config.hidden_size % config.bits != 0) {
    refuse(
        fmt::format("hidden_size {} is no multiple of {} bits", config.hidden_size, config.bits),
        fmt::format("the nearest number of bits that divides it is {}", nearest_bits(config.hidden_size, config.bits)));
  }
  if (config.num_heads < 1 || config.hidden_size % config.num_heads != 0) {
    refuse(fmt::format("hidden_size {} is no multiple of {} heads", config.hidden_size, config.num_heads),
           "choose a number of heads that divides it");
  }
  if (!(config.weighting.temperature > 0) || !std::isfinite(config.weighting.temperature)) {
    refuse(fmt::format("temperature is {}", config.weighting.temperature), "it must be positive");
  }
  if (!(config.rotary_part >= 0 && config.rotary_part <= 1)) {
    refuse(fmt::format("rotary_pct is {}", config.rotary_part), "it must lie in 0 .. 1");
  }
  if (!(config.rotary_theta > 0) || !std::isfinite(config.rotary_theta)) {
    refuse(fmt::format("rotary_emb_base is {}", config.rotary_theta), "it must be positive");
  }
  check_decoder_config(decoder_config(config), where);
  if (config.bits + config.expanding_bits > 12) {
    log_warning("{}: tables of {} bits: {:.3g} GB in fp32", where, config.bits + config.expanding_bits,
                4e-9 * static_cast<double>(table_elements(config)));
  }
  if (config.outer_norm == OuterNorm::kNone) {
    log_warning("{}: without a norm in front of the hashes some rows are never read", where);
  }
}

MemoryFormerConfig parse_memoryformer_config(std::string_view text, std::string_view where) {
  const json document = json::parse(text, nullptr, false);
  if (document.is_discarded()) throw bad_input(where, "this is not JSON", "fetch the file again");
  const Fields fields(document, where);
  if (fields.text("model_type") != "memoryformer") {
    throw bad_input(where, fmt::format("model_type '{}' is not memoryformer", fields.text("model_type")));
  }
  MemoryFormerConfig config;
  config.vocabulary_size = fields.integer("vocab_size");
  config.hidden_size = fields.integer("hidden_size");
  config.num_layers = fields.integer("num_hidden_layers");
  config.num_heads = fields.integer("num_attention_heads");
  config.max_positions = fields.integer("max_position_embeddings");
  config.bits = fields.small("memory_bits");
  config.expanding_bits = fields.small("expanding_bits");
  config.weighting.score = parse_memory_score(fields.text("score"), where);
  config.weighting.temperature = fields.number("temperature");
  config.outer_norm = parse_outer_norm(fields.text("norm_outer"), where);
  config.rotary_part = fields.number("rotary_pct");
  config.rotary_theta = fields.number("rotary_emb_base");
  const std::string order = fields.text("bit_order");
  if (order != "lsb" && order != "msb") {
    throw bad_input(where, fmt::format("bit_order '{}' is not known", order), "known are lsb and msb");
  }
  config.lowest_bit_first = order == "lsb";
  // Files of before there were int8 tables do not say it.
  const std::string tables_dtype = fields.text("tables_dtype", "float");
  if (tables_dtype != "float" && tables_dtype != "int8") {
    throw bad_input(where, fmt::format("tables_dtype '{}' is not known", tables_dtype), "known are float and int8");
  }
  config.int8_tables = tables_dtype == "int8";
  config.dtype = fields.text("torch_dtype", "float32");
  config.bos = fields.ids("bos_token_id");
  config.eos = fields.ids("eos_token_id");
  check_memoryformer(config, where);
  const std::int64_t tables = fields.integer("memory_tables");
  if (tables != config.tables()) {
    throw bad_input(where, fmt::format("memory_tables is {}, hidden_size {} with {} bits makes {}", tables,
                                       config.hidden_size, config.bits, config.tables()));
  }
  return config;
}

MemoryFormerConfig read_memoryformer_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  return parse_memoryformer_config(as_text(read_file(path, 1 << 24)), path.string());
}

std::string to_config_json(const MemoryFormerConfig& config) {
  ordered_json out = {{"model_type", "memoryformer"},
                      {"vocab_size", config.vocabulary_size},
                      {"hidden_size", config.hidden_size},
                      {"num_hidden_layers", config.num_layers},
                      {"num_attention_heads", config.num_heads},
                      {"max_position_embeddings", config.max_positions},
                      {"memory_bits", config.bits},
                      {"memory_tables", config.tables()},
                      {"expanding_bits", config.expanding_bits},
                      {"score", memory_score_name(config.weighting.score)},
                      {"temperature", config.weighting.temperature},
                      {"bit_order", config.lowest_bit_first ? "lsb" : "msb"},
                      {"tables_dtype", config.int8_tables ? "int8" : "float"},
                      {"norm_outer", outer_norm_name(config.outer_norm)},
                      {"rotary_pct", config.rotary_part},
                      {"rotary_emb_base", config.rotary_theta},
                      {"tie_word_embeddings", false},
                      {"torch_dtype", config.dtype}};
  const auto add_ids = [&](const char* name, const std::vector<std::int64_t>& ids) {
    if (ids.size() == 1) out[name] = ids[0];
    if (ids.size() > 1) out[name] = ids;
  };
  add_ids("bos_token_id", config.bos);
  add_ids("eos_token_id", config.eos);
  return out.dump(2) + "\n";
}

void check_trainable(const MemoryFormerConfig& config, std::string_view where) {
  if (!config.int8_tables) return;
  throw bad_input(where, "its tables are int8: they are for use, and cannot be trained or saved as others",
                  "take the model that it was packed from");
}

DecoderConfig decoder_config(const MemoryFormerConfig& config) {
  DecoderConfig made;
  made.family = Family::kGptNeox;
  made.vocabulary_size = config.vocabulary_size;
  made.hidden_size = config.hidden_size;
  made.num_layers = config.num_layers;
  made.num_heads = made.num_kv_heads = config.num_heads;
  made.head_dim = config.hidden_size / std::max<std::int64_t>(1, config.num_heads);
  made.intermediate_size = config.ffn_width();
  made.max_positions = config.max_positions;
  made.rms_norm = config.outer_norm != OuterNorm::kLayer;
  // The authors add 1e-8 to the root of the mean square; under the root that is 1e-16.
  made.norm_eps = config.outer_norm == OuterNorm::kLayer ? 1e-5 : 1e-16;
  made.gated_ffn = false;
  made.attention_scale = 1.0 / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, made.head_dim)));
  made.rotary.rotary_dim = static_cast<std::int64_t>(static_cast<double>(made.head_dim) * config.rotary_part) / 2 * 2;
  made.rotary.theta = config.rotary_theta;
  made.local_rotary = made.rotary;
  const auto layers = static_cast<std::size_t>(std::clamp<std::int64_t>(config.num_layers, 0, 4096));
  made.windowed.assign(layers, false);
  made.tied_embeddings = false;
  made.dtype = config.dtype;
  made.bos = config.bos;
  made.eos = config.eos;
  return made;
}

std::int64_t table_elements(const MemoryFormerConfig& config) {
  std::int64_t layer = 0;
  for (const MemoryShape& shape : {config.attention_shape(), config.attention_shape(), config.attention_shape(),
                                   config.up_shape(), config.down_shape()}) {
    layer += shape.rows() * shape.width;
  }
  return layer * config.num_layers;
}

std::int64_t parameter_count(const MemoryFormerConfig& config) {
  const std::int64_t d = config.hidden_size;
  const std::int64_t outer =
      config.outer_norm == OuterNorm::kNone ? 0 : d * (config.outer_norm == OuterNorm::kRms ? 1 : 2);
  const std::int64_t last = config.outer_norm == OuterNorm::kLayer ? 2 * d : d;
  const std::int64_t layer = 4 * d + config.ffn_width() + 2 * config.ffn_width() + 2 * outer;
  return table_elements(config) + config.num_layers * layer + last + 2 * config.vocabulary_size * d;
}

void check_table_memory(const MemoryFormerConfig& config, double element_bytes, double most_gb,
                        std::string_view where) {
  const double gigabytes = 1e-9 * element_bytes * static_cast<double>(table_elements(config));
  if (gigabytes <= most_gb) return;
  throw bad_input(
      where, fmt::format("the tables take {:.3g} GB, more than the {:.3g} GB that are allowed", gigabytes, most_gb),
      "raise max_table_gb (kinglet train --max-table-gb), or choose fewer bits, expanding bits or layers");
}

}  // namespace kinglet
