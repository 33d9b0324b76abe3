// The shape of a decoder language model, one description for all families.
//
// A family is a way to read this description from a Hugging Face config.json (config_read.cc), to write it back
// (config_write.cc), and a map of tensor names (weight_names.h). The model itself (decoder.h) knows no family.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/nn/activation.h"
#include "kinglet/nn/rotary_settings.h"

namespace kinglet {

enum class Family { kGpt2, kGptNeox, kOpt, kLlama, kMistral, kQwen2, kQwen3, kGemma3 };

std::string_view family_name(Family family);     // model_type in config.json
const std::vector<std::string>& family_names();  // of all

struct DecoderConfig {
  Family family = Family::kLlama;

  std::int64_t vocabulary_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 0;
  std::int64_t num_heads = 0;
  std::int64_t num_kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t max_positions = 0;

  bool rms_norm = true;
  double norm_eps = 1e-5;
  double norm_offset = 0.0;  // 1: the norms' factor is 1 + weight (Gemma)
  bool post_norms = false;   // norms behind attention and feed-forward as well (Gemma)

  nn::Activation activation = nn::Activation::kSilu;
  bool gated_ffn = true;
  bool parallel_residual = false;  // attention and feed-forward read the same input (GPT-NeoX)

  bool qkv_bias = false;
  bool output_bias = false;
  bool ffn_bias = false;
  bool qk_norm = false;
  double attention_scale = 0.0;  // of q k^T

  bool learned_positions = false;
  std::int64_t position_offset = 0;  // first row of the position table in use (OPT: 2)
  nn::RotarySettings rotary;         // rotary_dim 0: none
  nn::RotarySettings local_rotary;   // of the layers with a sliding window (Gemma 3); else equal to rotary
  std::int64_t window = 0;           // keys that a query of a windowed layer sees
  std::vector<bool> windowed;        // [num_layers]

  double embedding_scale = 1.0;
  bool tied_embeddings = false;
  double initializer_range = 0.02;

  std::string dtype = "float32";       // of the stored weights: float32, bfloat16 or float16
  std::vector<std::int64_t> bos, eos;  // token ids, possibly none
};

// Reads config.json. Raises Error (bad input) with file and field for an unknown family, a missing or senseless value,
// or a setting that the decoder does not have.
DecoderConfig parse_decoder_config(std::string_view json, std::string_view where);
DecoderConfig read_decoder_config(const std::filesystem::path& folder);

// config.json as transformers reads it.
std::string to_config_json(const DecoderConfig& config);

// The few numbers that a new model is asked for; the family's defaults say the rest.
struct DecoderShape {
  std::string family = "llama";  // one of family_names()
  std::int64_t vocabulary_size = 0, hidden_size = 0, num_layers = 0, num_heads = 0, max_positions = 0;
  std::int64_t num_kv_heads = 0;       // 0: as num_heads
  std::int64_t head_dim = 0;           // 0: hidden_size / num_heads
  std::int64_t intermediate_size = 0;  // 0: 4 hidden_size, or, gated, 8/3 of it in whole 64s
  bool tied_embeddings = true;
  double rope_theta = 0.0;  // 0: the family's
};
// Raises Error (bad input) naming `where` for numbers that do not go together, or that the family has no place for.
DecoderConfig decoder_config(const DecoderShape& shape, std::string_view where);

// Consistency of the numbers with each other; raises Error (bad input). All of the functions above call it.
void check_decoder_config(const DecoderConfig& config, std::string_view where);

std::int64_t parameter_count(const DecoderConfig& config);

}  // namespace kinglet
