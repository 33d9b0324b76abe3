#include "kinglet/models/decoder/config.h"

#include <cmath>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet {

std::string_view family_name(Family family) {
  switch (family) {
    case Family::kGpt2:
      return "gpt2";
    case Family::kGptNeox:
      return "gpt_neox";
    case Family::kOpt:
      return "opt";
    case Family::kLlama:
      return "llama";
    case Family::kMistral:
      return "mistral";
    case Family::kQwen2:
      return "qwen2";
    case Family::kQwen3:
      return "qwen3";
    case Family::kGemma3:
      return "gemma3_text";
  }
  return "";
}

namespace {

class Check {
 public:
  explicit Check(std::string_view where) : where_(where) {}

  void size(std::string_view name, std::int64_t value, std::int64_t most) const {
    if (value < 1 || value > most) refuse(fmt::format("{} is {}, outside 1 .. {}", name, value, most));
  }
  void that(bool holds, const std::string& problem) const {
    if (!holds) refuse(problem);
  }

 private:
  [[noreturn]] void refuse(const std::string& problem) const {
    throw bad_input(where_, problem, "correct config.json, or fetch the model again");
  }
  std::string_view where_;
};

void check_rotary(const Check& check, const nn::RotarySettings& rotary, std::int64_t head_dim) {
  check.that(rotary.rotary_dim >= 0 && rotary.rotary_dim <= head_dim && rotary.rotary_dim % 2 == 0,
             fmt::format("rotary dimension {} does not fit heads of {}", rotary.rotary_dim, head_dim));
  check.that(rotary.theta > 0 && std::isfinite(rotary.theta), "rope_theta must be positive");
  check.that(rotary.divisors.empty() || rotary.divisors.size() == static_cast<std::size_t>(rotary.rotary_dim / 2),
             "there must be one rope divisor a frequency");
  check.that(rotary.scaling.factor > 0 && std::isfinite(rotary.scaling.factor), "the rope factor must be positive");
}

}  // namespace

void check_decoder_config(const DecoderConfig& config, std::string_view where) {
  const Check check(where);
  constexpr std::int64_t kMillion = 1 << 20;
  check.size("vocab_size", config.vocabulary_size, 16 * kMillion);
  check.size("hidden_size", config.hidden_size, kMillion);
  check.size("num_hidden_layers", config.num_layers, 4096);
  check.size("num_attention_heads", config.num_heads, 65536);
  check.size("num_key_value_heads", config.num_kv_heads, config.num_heads);
  check.size("head_dim", config.head_dim, 65536);
  check.size("intermediate_size", config.intermediate_size, 16 * kMillion);
  check.size("max_position_embeddings", config.max_positions, 1024 * kMillion);
  check.that(config.num_heads % config.num_kv_heads == 0,
             fmt::format("num_attention_heads {} is no multiple of num_key_value_heads {}", config.num_heads,
                         config.num_kv_heads));
  check.that(config.norm_eps > 0 && config.norm_eps < 1, "the epsilon of the norms must be between 0 and 1");
  check.that(config.attention_scale > 0 && std::isfinite(config.attention_scale),
             "the attention scale must be positive");
  check.that(config.windowed.size() == static_cast<std::size_t>(config.num_layers),
             "layer_types does not name every layer");
  check.that(config.window >= 0, "sliding_window must not be negative");
  check_rotary(check, config.rotary, config.head_dim);
  check_rotary(check, config.local_rotary, config.head_dim);
}

std::int64_t parameter_count(const DecoderConfig& c) {
  const std::int64_t q = c.num_heads * c.head_dim, kv = c.num_kv_heads * c.head_dim;
  const std::int64_t norm = c.hidden_size * (c.rms_norm ? 1 : 2);
  std::int64_t layer = c.hidden_size * (q + 2 * kv) + (c.qkv_bias ? q + 2 * kv : 0);
  layer += q * c.hidden_size + (c.output_bias ? c.hidden_size : 0);
  layer += c.qk_norm ? 2 * c.head_dim : 0;
  layer += (c.gated_ffn ? 3 : 2) * c.hidden_size * c.intermediate_size;
  layer += c.ffn_bias ? (c.gated_ffn ? 2 : 1) * c.intermediate_size + c.hidden_size : 0;
  layer += norm * (c.post_norms ? 4 : 2);
  std::int64_t total = c.num_layers * layer + norm + c.vocabulary_size * c.hidden_size * (c.tied_embeddings ? 1 : 2);
  if (c.learned_positions) total += (c.max_positions + c.position_offset) * c.hidden_size;
  return total;
}

}  // namespace kinglet
