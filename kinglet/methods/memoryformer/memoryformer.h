// The MemoryFormer model: a Decoder whose blocks are look-ups.
//
// In a folder (docs/memoryformer.md): config.json (config.h) and safetensors
//   embed_in.weight, embed_out.weight            [vocabulary, hidden]
//   blocks.N.input_layernorm.*, blocks.N.post_attention_layernorm.*, final_norm.*   scale, or weight and bias
//   blocks.N.attn.{q,k,v}.{tables,bias}          [K 2^bits, hidden], [hidden]
//   blocks.N.mlp.{0,2}.{tables,bias}, blocks.N.mlp.1.{weight,bias}
#pragma once

#include <memory>

#include "kinglet/methods/memoryformer/config.h"
#include "kinglet/models/decoder/decoder.h"

namespace kinglet {

class RecipeTable;

// A model of this shape, not yet initialised. `most_table_gb`: larger fp32 tables are refused (Error, bad input) before
// memory is asked for; 0: what this machine has.
std::shared_ptr<Decoder> make_memoryformer(const MemoryFormerConfig& config, double most_table_gb = 0.0);

// The table [model] of a recipe with kind = "memoryformer":
//   preset       "tiny", "small" or "base" of the paper, or "custom", the default: hidden_size, layers and heads needed
//   bits, expanding_bits, score, temperature, norm_outer, rotary_part, max_positions, max_table_gb
std::shared_ptr<Decoder> memoryformer_from_recipe(RecipeTable& model, std::int64_t vocabulary_size);

// The shape behind a decoder; null for other models.
const MemoryFormerConfig* memoryformer_config_of(const Decoder& decoder);

// load_decoder() takes MemoryFormer folders from now on.
void register_memoryformer();

}  // namespace kinglet
