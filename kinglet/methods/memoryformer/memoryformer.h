// The MemoryFormer model: a Decoder whose blocks are look-ups.
//
// In a folder (docs/memoryformer.md): config.json (config.h) and safetensors
//   embed_in.weight, embed_out.weight            [vocabulary, hidden]
//   blocks.N.input_layernorm.*, blocks.N.post_attention_layernorm.*, final_norm.*   scale, or weight and bias
//   blocks.N.attn.{q,k,v}.{tables,bias}          [K 2^bits, hidden], [hidden]
//   blocks.N.mlp.{0,2}.{tables,bias}, blocks.N.mlp.1.{weight,bias}
//   with int8 tables also *.tables_scale         [K 2^bits]
#pragma once

#include <memory>

#include "kinglet/methods/memoryformer/config.h"
#include "kinglet/methods/memoryformer/file_tables.h"
#include "kinglet/models/decoder/decoder.h"

namespace kinglet {

struct MemoryFormerOptions {
  // Larger fp32 tables are refused (Error, bad input) before memory is asked for; 0: what this machine has.
  double most_table_gb = 0.0;
  // Training updates only the rows that a step read (kernels/adamw.h says how that differs), with sparse gradients.
  bool row_sparse = false;
  // The tables are no parameters: take_weights() of decoder_parts.h puts them where `use` says.
  LoadPurpose purpose = LoadPurpose::kTraining;
  TableUse use{};
};

// A model of this shape, not yet initialised. Raises Error (bad input) for int8 tables that are to be trained.
std::shared_ptr<Decoder> make_memoryformer(const MemoryFormerConfig& config, const MemoryFormerOptions& options = {});

// The shape behind a decoder; null for other models.
const MemoryFormerConfig* memoryformer_config_of(const Decoder& decoder);

// load_decoder() takes MemoryFormer folders from now on; those that are loaded for use with tables as `use` says.
void register_memoryformer(const TableUse& use = {});

}  // namespace kinglet
