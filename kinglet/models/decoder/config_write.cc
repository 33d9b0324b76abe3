#include <cmath>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/models/decoder/config.h"

namespace kinglet {
namespace {

using nlohmann::ordered_json;

std::string activation_name(const DecoderConfig& config) {
  switch (config.activation) {
    case nn::Activation::kRelu:
      return "relu";
    case nn::Activation::kGelu:
      return "gelu";
    case nn::Activation::kGeluTanh:
      return config.family == Family::kGemma3 ? "gelu_pytorch_tanh" : "gelu_new";
    case nn::Activation::kSilu:
      return "silu";
  }
  return "";
}

ordered_json scaling_json(const nn::RotaryScaling& scaling) {
  using Kind = nn::RotaryScaling::Kind;
  if (scaling.kind == Kind::kNone) return nullptr;
  if (scaling.kind == Kind::kLinear) return {{"rope_type", "linear"}, {"factor", scaling.factor}};
  return {{"rope_type", "llama3"},
          {"factor", scaling.factor},
          {"low_freq_factor", scaling.low_frequency_factor},
          {"high_freq_factor", scaling.high_frequency_factor},
          {"original_max_position_embeddings", static_cast<std::int64_t>(scaling.original_context)}};
}

void write_gpt2(const DecoderConfig& config, ordered_json& out) {
  out["n_embd"] = config.hidden_size;
  out["n_layer"] = config.num_layers;
  out["n_head"] = config.num_heads;
  out["n_positions"] = config.max_positions;
  out["n_inner"] = config.intermediate_size;
  out["activation_function"] = activation_name(config);
  out["layer_norm_epsilon"] = config.norm_eps;
  // Dropout is not ours: values that change nothing when the model is trained on elsewhere.
  for (const char* name : {"attn_pdrop", "embd_pdrop", "resid_pdrop"}) out[name] = 0.0;
}

void write_common(const DecoderConfig& config, ordered_json& out) {
  out["hidden_size"] = config.hidden_size;
  out["num_hidden_layers"] = config.num_layers;
  out["num_attention_heads"] = config.num_heads;
  out["max_position_embeddings"] = config.max_positions;
}

void write_gpt_neox(const DecoderConfig& config, ordered_json& out) {
  write_common(config, out);
  out["intermediate_size"] = config.intermediate_size;
  out["hidden_act"] = activation_name(config);
  out["layer_norm_eps"] = config.norm_eps;
  out["use_parallel_residual"] = config.parallel_residual;
  out["attention_bias"] = config.qkv_bias;
  out["rotary_pct"] = static_cast<double>(config.rotary.rotary_dim) / static_cast<double>(config.head_dim);
  out["rotary_emb_base"] = config.rotary.theta;
  out["rope_theta"] = config.rotary.theta;
  out["rope_scaling"] = scaling_json(config.rotary.scaling);
}

void write_opt(const DecoderConfig& config, ordered_json& out) {
  write_common(config, out);
  out["ffn_dim"] = config.intermediate_size;
  out["word_embed_proj_dim"] = config.hidden_size;
  out["do_layer_norm_before"] = true;
  out["enable_bias"] = config.qkv_bias;
  out["activation_function"] = activation_name(config);
  for (const char* name : {"dropout", "attention_dropout", "layerdrop"}) out[name] = 0.0;
}

void write_layer_types(const DecoderConfig& config, ordered_json& out) {
  ordered_json types = ordered_json::array();
  for (const bool windowed : config.windowed) types.push_back(windowed ? "sliding_attention" : "full_attention");
  out["layer_types"] = types;
}

void write_llama_like(const DecoderConfig& config, ordered_json& out) {
  write_common(config, out);
  out["intermediate_size"] = config.intermediate_size;
  out["num_key_value_heads"] = config.num_kv_heads;
  out["head_dim"] = config.head_dim;
  out["rms_norm_eps"] = config.norm_eps;
  const bool gemma = config.family == Family::kGemma3;
  out[gemma ? "hidden_activation" : "hidden_act"] = activation_name(config);
  out["rope_theta"] = config.rotary.theta;
  out["rope_scaling"] = scaling_json(config.rotary.scaling);
  if (config.family == Family::kLlama || config.family == Family::kQwen3 || gemma) {
    out["attention_bias"] = config.output_bias;
  }
  if (config.family == Family::kLlama) out["mlp_bias"] = config.ffn_bias;
  const ordered_json window = config.window > 0 ? ordered_json(config.window) : ordered_json(nullptr);
  if (config.family == Family::kMistral) out["sliding_window"] = window;
  if (config.family == Family::kQwen2 || config.family == Family::kQwen3) {
    out["use_sliding_window"] = config.window > 0;
    out["sliding_window"] = window;
    write_layer_types(config, out);
  }
  if (gemma) {
    out["query_pre_attn_scalar"] = 1.0 / (config.attention_scale * config.attention_scale);
    out["rope_local_base_freq"] = config.local_rotary.theta;
    out["sliding_window"] = config.window;
    write_layer_types(config, out);
  }
}

const char* architecture(Family family) {
  switch (family) {
    case Family::kGpt2:
      return "GPT2LMHeadModel";
    case Family::kGptNeox:
      return "GPTNeoXForCausalLM";
    case Family::kOpt:
      return "OPTForCausalLM";
    case Family::kLlama:
      return "LlamaForCausalLM";
    case Family::kMistral:
      return "MistralForCausalLM";
    case Family::kQwen2:
      return "Qwen2ForCausalLM";
    case Family::kQwen3:
      return "Qwen3ForCausalLM";
    case Family::kGemma3:
      return "Gemma3ForCausalLM";
  }
  return "";
}

ordered_json ids_json(const std::vector<std::int64_t>& ids) {
  if (ids.empty()) return nullptr;
  return ids.size() == 1 ? ordered_json(ids[0]) : ordered_json(ids);
}

}  // namespace

std::string to_config_json(const DecoderConfig& config) {
  ordered_json out;
  out["architectures"] = {architecture(config.family)};
  out["model_type"] = family_name(config.family);
  out["vocab_size"] = config.vocabulary_size;
  switch (config.family) {
    case Family::kGpt2:
      write_gpt2(config, out);
      break;
    case Family::kGptNeox:
      write_gpt_neox(config, out);
      break;
    case Family::kOpt:
      write_opt(config, out);
      break;
    default:
      write_llama_like(config, out);
  }
  out["tie_word_embeddings"] = config.tied_embeddings;
  out["initializer_range"] = config.initializer_range;
  out["torch_dtype"] = config.dtype;
  out["bos_token_id"] = ids_json(config.bos);
  out["eos_token_id"] = ids_json(config.eos);
  return out.dump(2) + "\n";
}

}  // namespace kinglet
