// The shape of a MemoryFormer (Ding et al. 2024): a decoder whose fully-connected layers are look-ups.
//
// Without LibTorch, for readers of model files. The model is memoryformer.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/kernels/memory_layer.h"
#include "kinglet/models/decoder/config.h"

namespace kinglet {

// The norms in front of the hashes and at the end; the one between the two feed-forward layers is a LayerNorm always.
enum class OuterNorm : std::uint8_t {
  kRms,    // the authors' code
  kLayer,  // the paper's argument: inputs of mean zero fill the rows evenly
  kNone,   // a control: rows fill unevenly, and learning suffers
};

struct MemoryFormerConfig {
  std::int64_t vocabulary_size = 0;
  std::int64_t hidden_size = 0;  // d
  std::int64_t num_layers = 0;
  std::int64_t num_heads = 0;
  std::int64_t max_positions = 2048;
  int bits = 8;            // tau; K = hidden_size / bits tables a layer
  int expanding_bits = 2;  // e: the second feed-forward layer has bits + e a table
  MemoryWeighting weighting{MemoryScore::kSumProb, 1.0};
  OuterNorm outer_norm = OuterNorm::kRms;
  bool lowest_bit_first = true;  // how the tables of the file are ordered; in memory it is so always
  bool int8_tables = false;      // in the file: int8 rows with a factor each, which cannot be trained
  double rotary_part = 0.25;     // of each head
  double rotary_theta = 10000.0;
  std::string dtype = "float32";  // of what is stored, but for int8 tables
  std::vector<std::int64_t> bos, eos;

  std::int64_t tables() const { return hidden_size / bits; }
  std::int64_t ffn_width() const { return tables() * (bits + expanding_bits); }
  MemoryShape attention_shape() const { return {tables(), bits, hidden_size}; }
  MemoryShape up_shape() const { return {tables(), bits, ffn_width()}; }
  MemoryShape down_shape() const { return {tables(), bits + expanding_bits, hidden_size}; }
};

// "prob", "sum_prob", "adaptive_temp", "none"; "rmsnorm", "layernorm", "none"
const std::vector<std::string>& memory_score_names();
std::string_view memory_score_name(MemoryScore score);
MemoryScore parse_memory_score(std::string_view name, std::string_view where);
const std::vector<std::string>& outer_norm_names();
std::string_view outer_norm_name(OuterNorm norm);
OuterNorm parse_outer_norm(std::string_view name, std::string_view where);

// Raises Error (bad input) naming `where` for numbers that do not go together.
void check_memoryformer(const MemoryFormerConfig& config, std::string_view where);

// config.json with "model_type": "memoryformer". Raises Error (bad input) for a missing or senseless value: nothing is
// guessed, because there are two conventions of bit order and of score.
MemoryFormerConfig parse_memoryformer_config(std::string_view json, std::string_view where);
MemoryFormerConfig read_memoryformer_config(const std::filesystem::path& folder);
std::string to_config_json(const MemoryFormerConfig& config);

// Raises Error (bad input) naming `where` for int8 tables.
void check_trainable(const MemoryFormerConfig& config, std::string_view where);

// What the decoder itself needs to know: a GPT-NeoX with sequential residual.
DecoderConfig decoder_config(const MemoryFormerConfig& config);

// Elements of all tables, and of everything.
std::int64_t table_elements(const MemoryFormerConfig& config);
std::int64_t parameter_count(const MemoryFormerConfig& config);
// Raises Error (bad input) when the tables take more than `most_gb` (1e9 bytes) at `element_bytes` an element.
void check_table_memory(const MemoryFormerConfig& config, double element_bytes, double most_gb, std::string_view where);

}  // namespace kinglet
