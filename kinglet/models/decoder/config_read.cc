#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/models/decoder/config.h"

namespace kinglet {
namespace {

using nlohmann::json;

// Typed fields of one JSON object, with the file and the field in every error.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(&object), where_(std::move(where)) {
    if (!object_->is_object()) throw bad_input(where_, "expected a JSON object");
  }
  const std::string& where() const { return where_; }
  bool has(const char* name) const { return object_->contains(name) && !object_->at(name).is_null(); }

  std::int64_t integer(const char* name) const {
    const json& value = required(name);
    if (!value.is_number_integer()) refuse(name, "an integer");
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) refuse(name, "a smaller integer");
    return value.get<std::int64_t>();
  }
  std::int64_t integer(const char* name, std::int64_t otherwise) const { return has(name) ? integer(name) : otherwise; }
  double number(const char* name) const {
    const json& value = required(name);
    if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(name, "a number");
    return value.get<double>();
  }
  double number(const char* name, double otherwise) const { return has(name) ? number(name) : otherwise; }
  bool boolean(const char* name, bool otherwise) const {
    if (!has(name)) return otherwise;
    if (!object_->at(name).is_boolean()) refuse(name, "true or false");
    return object_->at(name).get<bool>();
  }
  std::string text(const char* name, const std::string& otherwise) const {
    if (!has(name)) return otherwise;
    if (!object_->at(name).is_string()) refuse(name, "a string");
    return object_->at(name).get<std::string>();
  }
  std::optional<Fields> object(const char* name) const {
    if (!has(name)) return std::nullopt;
    return Fields(object_->at(name), fmt::format("{}: {}", where_, name));
  }
  const json& raw(const char* name) const { return object_->at(name); }
  // One id, several, or none.
  std::vector<std::int64_t> ids(const char* name) const {
    if (!has(name)) return {};
    const json& value = object_->at(name);
    if (!value.is_array()) return {integer(name)};
    std::vector<std::int64_t> all;
    for (const json& one : value) {
      if (!one.is_number_integer()) refuse(name, "token ids");
      all.push_back(one.get<std::int64_t>());
    }
    return all;
  }
  // The decoder has no such setting: only `supported` is taken.
  void expect(const char* name, const json& supported) const {
    if (has(name) && object_->at(name) != supported) {
      throw bad_input(where_, fmt::format("{} = {} is not supported", name, object_->at(name).dump()));
    }
  }

 private:
  const json& required(const char* name) const {
    if (!has(name)) throw bad_input(where_, fmt::format("'{}' is missing", name), "this is no complete config.json");
    return object_->at(name);
  }
  [[noreturn]] void refuse(const char* name, const char* wanted) const {
    throw bad_input(where_, fmt::format("'{}' must be {}", name, wanted));
  }

  const json* object_;
  std::string where_;
};

nn::Activation activation_of(const Fields& fields, const std::string& name) {
  static const std::map<std::string, nn::Activation> known = {
      {"relu", nn::Activation::kRelu},          {"gelu", nn::Activation::kGelu},
      {"gelu_new", nn::Activation::kGeluTanh},  {"gelu_pytorch_tanh", nn::Activation::kGeluTanh},
      {"gelu_fast", nn::Activation::kGeluTanh}, {"silu", nn::Activation::kSilu},
      {"swish", nn::Activation::kSilu}};
  const auto found = known.find(name);
  if (found == known.end()) throw bad_input(fields.where(), fmt::format("activation '{}' is not known", name));
  return found->second;
}

nn::RotaryScaling scaling_of(const Fields& fields) {
  nn::RotaryScaling scaling;
  const std::string kind = fields.text("rope_type", fields.text("type", "default"));
  if (kind == "default") return scaling;
  if (kind != "linear" && kind != "llama3") {
    throw bad_input(fields.where(), fmt::format("rope type '{}' is not supported", kind),
                    "supported are default, linear and llama3");
  }
  scaling.factor = fields.number("factor");
  scaling.kind = kind == "linear" ? nn::RotaryScaling::Kind::kLinear : nn::RotaryScaling::Kind::kLlama3;
  if (kind == "llama3") {
    scaling.low_frequency_factor = fields.number("low_freq_factor");
    scaling.high_frequency_factor = fields.number("high_freq_factor");
    scaling.original_context = fields.number("original_max_position_embeddings");
    if (!(scaling.low_frequency_factor > 0 && scaling.high_frequency_factor > scaling.low_frequency_factor &&
          scaling.original_context > 0)) {
      throw bad_input(fields.where(), "the llama3 rope factors must be positive and ascending");
    }
  }
  return scaling;
}

// rope_theta and rope_scaling, or the newer rope_parameters, which may hold one entry a layer type.
nn::RotarySettings rotary_of(const Fields& fields, std::int64_t head_dim, const char* layer_type, double theta) {
  nn::RotarySettings rotary;
  rotary.theta = fields.number("rope_theta", theta);
  double part = 1.0;
  if (const auto scaling = fields.object("rope_scaling")) rotary.scaling = scaling_of(*scaling);
  if (auto parameters = fields.object("rope_parameters")) {
    if (const auto own = parameters->object(layer_type)) parameters = *own;
    rotary.theta = parameters->number("rope_theta", theta);
    rotary.scaling = scaling_of(*parameters);
    part = parameters->number("partial_rotary_factor", part);
  }
  part = fields.number("rotary_pct", fields.number("partial_rotary_factor", part));
  if (!(part >= 0.0 && part <= 1.0)) throw bad_input(fields.where(), "the rotary part must lie in 0 .. 1");
  rotary.rotary_dim = static_cast<std::int64_t>(static_cast<double>(head_dim) * part);
  return rotary;
}

void read_heads(const Fields& fields, DecoderConfig& config) {
  config.num_heads = fields.integer("num_attention_heads");
  if (config.num_heads < 1) throw bad_input(fields.where(), "'num_attention_heads' must be positive");
  config.num_kv_heads = fields.integer("num_key_value_heads", config.num_heads);
  config.head_dim = fields.integer("head_dim", config.hidden_size / config.num_heads);
  if (!fields.has("head_dim") && config.hidden_size % config.num_heads != 0) {
    throw bad_input(fields.where(), "hidden_size is no multiple of num_attention_heads");
  }
  config.attention_scale = 1.0 / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, config.head_dim)));
}

void read_common(const Fields& fields, DecoderConfig& config) {
  config.vocabulary_size = fields.integer("vocab_size");
  config.hidden_size = fields.integer("hidden_size");
  config.num_layers = fields.integer("num_hidden_layers");
  config.max_positions = fields.integer("max_position_embeddings");
  config.intermediate_size = fields.has("intermediate_size") ? fields.integer("intermediate_size") : 0;
  read_heads(fields, config);
  if (config.num_layers < 0 || config.num_layers > 4096) {
    throw bad_input(fields.where(), "'num_hidden_layers' is outside 1 .. 4096");
  }
  config.windowed.assign(static_cast<std::size_t>(config.num_layers), false);
}

void use_layer_norm(DecoderConfig& config, double eps, nn::Activation activation) {
  config.rms_norm = false;
  config.norm_eps = eps;
  config.gated_ffn = false;
  config.activation = activation;
  config.qkv_bias = config.output_bias = config.ffn_bias = true;
}

void read_gpt2(const Fields& fields, DecoderConfig& config) {
  config.vocabulary_size = fields.integer("vocab_size");
  config.hidden_size = fields.integer("n_embd");
  config.num_layers = fields.integer("n_layer");
  config.num_heads = config.num_kv_heads = fields.integer("n_head");
  config.max_positions = fields.integer("n_positions", fields.integer("n_ctx", 1024));
  config.intermediate_size = fields.integer("n_inner", 4 * config.hidden_size);
  if (config.num_heads < 1 || config.hidden_size % config.num_heads != 0) {
    throw bad_input(fields.where(), "n_embd is no multiple of n_head");
  }
  if (config.num_layers < 0 || config.num_layers > 4096) throw bad_input(fields.where(), "'n_layer' is out of range");
  config.head_dim = config.hidden_size / config.num_heads;
  config.attention_scale = 1.0 / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, config.head_dim)));
  fields.expect("scale_attn_weights", true);
  fields.expect("scale_attn_by_inverse_layer_idx", false);
  fields.expect("add_cross_attention", false);
  use_layer_norm(config, fields.number("layer_norm_epsilon", 1e-5),
                 activation_of(fields, fields.text("activation_function", "gelu_new")));
  config.learned_positions = true;
  config.tied_embeddings = fields.boolean("tie_word_embeddings", true);
  config.windowed.assign(static_cast<std::size_t>(config.num_layers), false);
}

void read_gpt_neox(const Fields& fields, DecoderConfig& config) {
  read_common(fields, config);
  use_layer_norm(config, fields.number("layer_norm_eps", 1e-5),
                 activation_of(fields, fields.text("hidden_act", "gelu")));
  config.parallel_residual = fields.boolean("use_parallel_residual", true);
  config.qkv_bias = config.output_bias = fields.boolean("attention_bias", true);
  config.rotary = rotary_of(fields, config.head_dim, "full_attention", fields.number("rotary_emb_base", 10000.0));
  if (!fields.has("rotary_pct") && !fields.has("rope_parameters") && !fields.has("partial_rotary_factor")) {
    config.rotary.rotary_dim = config.head_dim / 4;
  }
  config.tied_embeddings = fields.boolean("tie_word_embeddings", false);
}

void read_opt(const Fields& fields, DecoderConfig& config) {
  read_common(fields, config);
  config.intermediate_size = fields.integer("ffn_dim");
  fields.expect("word_embed_proj_dim", config.hidden_size);
  fields.expect("do_layer_norm_before", true);
  fields.expect("layer_norm_elementwise_affine", true);
  fields.expect("_remove_final_layer_norm", false);
  use_layer_norm(config, 1e-5, activation_of(fields, fields.text("activation_function", "relu")));
  config.qkv_bias = config.output_bias = config.ffn_bias = fields.boolean("enable_bias", true);
  config.learned_positions = true;
  config.position_offset = 2;
  config.tied_embeddings = fields.boolean("tie_word_embeddings", true);
}

// layer_types, when the file has it.
void read_layer_types(const Fields& fields, DecoderConfig& config) {
  if (!fields.has("layer_types")) return;
  const json& types = fields.raw("layer_types");
  if (!types.is_array() || types.size() != config.windowed.size()) {
    throw bad_input(fields.where(), "'layer_types' must name every layer");
  }
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] != "full_attention" && types[i] != "sliding_attention") {
      throw bad_input(fields.where(), fmt::format("layer type {} is not supported", types[i].dump()));
    }
    config.windowed[i] = types[i] == "sliding_attention";
  }
}

// Llama, Mistral, Qwen2, Qwen3.
void read_llama_like(const Fields& fields, DecoderConfig& config) {
  read_common(fields, config);
  config.intermediate_size = fields.integer("intermediate_size");
  config.norm_eps = fields.number("rms_norm_eps", 1e-6);
  config.activation = activation_of(fields, fields.text("hidden_act", "silu"));
  const double theta = config.family == Family::kLlama || config.family == Family::kMistral ? 10000.0 : 1000000.0;
  config.rotary = rotary_of(fields, config.head_dim, "full_attention", fields.has("rope_theta") ? 10000.0 : theta);
  config.tied_embeddings = fields.boolean("tie_word_embeddings", false);
  config.qkv_bias = config.output_bias = fields.boolean("attention_bias", false);
  config.ffn_bias = fields.boolean("mlp_bias", false);
  if (config.family == Family::kQwen2) config.qkv_bias = true, config.output_bias = false;
  config.qk_norm = config.family == Family::kQwen3;
  if (config.family == Family::kMistral) {
    config.window = fields.integer("sliding_window", 0);
    config.windowed.assign(config.windowed.size(), config.window > 0);
  }
  if ((config.family == Family::kQwen2 || config.family == Family::kQwen3) &&
      fields.boolean("use_sliding_window", false)) {
    config.window = fields.integer("sliding_window", 0);
    const std::int64_t first = fields.integer("max_window_layers", 28);
    for (std::size_t i = 0; i < config.windowed.size(); ++i) {
      config.windowed[i] = config.window > 0 && static_cast<std::int64_t>(i) >= first;
    }
    read_layer_types(fields, config);
  }
}

void read_gemma3(const Fields& fields, DecoderConfig& config) {
  read_common(fields, config);
  config.intermediate_size = fields.integer("intermediate_size");
  config.head_dim = fields.integer("head_dim", 256);
  config.norm_eps = fields.number("rms_norm_eps", 1e-6);
  config.norm_offset = 1.0;
  config.post_norms = true;
  config.qk_norm = true;
  config.activation = activation_of(fields, fields.text("hidden_activation", "gelu_pytorch_tanh"));
  config.qkv_bias = config.output_bias = fields.boolean("attention_bias", false);
  fields.expect("attn_logit_softcapping", nullptr);
  fields.expect("final_logit_softcapping", nullptr);
  fields.expect("use_bidirectional_attention", false);
  config.attention_scale = 1.0 / std::sqrt(fields.number("query_pre_attn_scalar", 256.0));
  config.rotary = rotary_of(fields, config.head_dim, "full_attention", 1000000.0);
  config.local_rotary = rotary_of(fields, config.head_dim, "sliding_attention", 10000.0);
  if (!fields.has("rope_parameters")) {
    config.local_rotary.theta = fields.number("rope_local_base_freq", 10000.0);
    config.local_rotary.scaling = {};
  }
  config.window = fields.integer("sliding_window", 4096);
  const std::int64_t pattern = fields.integer("sliding_window_pattern", fields.integer("_sliding_window_pattern", 6));
  if (pattern < 1) throw bad_input(fields.where(), "'sliding_window_pattern' must be positive");
  for (std::size_t i = 0; i < config.windowed.size(); ++i) {
    config.windowed[i] = (static_cast<std::int64_t>(i) + 1) % pattern != 0;
  }
  read_layer_types(fields, config);
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  config.tied_embeddings = fields.boolean("tie_word_embeddings", true);
}

Family family_of(const Fields& fields) {
  const std::string type = fields.text("model_type", "");
  static const std::map<std::string, Family> known = {{"gpt2", Family::kGpt2},       {"gpt_neox", Family::kGptNeox},
                                                      {"opt", Family::kOpt},         {"llama", Family::kLlama},
                                                      {"mistral", Family::kMistral}, {"qwen2", Family::kQwen2},
                                                      {"qwen3", Family::kQwen3},     {"gemma3_text", Family::kGemma3}};
  const auto found = known.find(type);
  if (found == known.end()) {
    throw bad_input(fields.where(), fmt::format("model_type '{}' is not a family that Kinglet knows", type),
                    "known are gpt2, gpt_neox, opt, llama, mistral, qwen2, qwen3 and gemma3_text");
  }
  return found->second;
}

void read_family(const Fields& fields, DecoderConfig& config) {
  switch (config.family) {
    case Family::kGpt2:
      return read_gpt2(fields, config);
    case Family::kGptNeox:
      return read_gpt_neox(fields, config);
    case Family::kOpt:
      return read_opt(fields, config);
    case Family::kGemma3:
      return read_gemma3(fields, config);
    case Family::kLlama:
    case Family::kMistral:
    case Family::kQwen2:
    case Family::kQwen3:
      return read_llama_like(fields, config);
  }
}

}  // namespace

DecoderConfig parse_decoder_config(std::string_view text, std::string_view where) {
  const json document = json::parse(text, nullptr, false);
  if (document.is_discarded()) throw bad_input(where, "this is not JSON", "fetch the file again");
  Fields fields(document, std::string(where));
  // A vision-language model holds its language model's settings inside.
  if (fields.text("model_type", "") == "gemma3") {
    if (const auto inner = fields.object("text_config")) fields = *inner;
  }
  DecoderConfig config;
  config.family = family_of(fields);
  read_family(fields, config);
  if (config.family != Family::kGemma3) config.local_rotary = config.rotary;
  config.initializer_range = fields.number("initializer_range", 0.02);
  config.dtype = fields.text("torch_dtype", fields.text("dtype", "float32"));
  config.bos = fields.ids("bos_token_id");
  config.eos = fields.ids("eos_token_id");
  check_decoder_config(config, where);
  return config;
}

DecoderConfig read_decoder_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  return parse_decoder_config(as_text(read_file(path, 1 << 24)), path.string());
}

}  // namespace kinglet
