// Configurations of new models, from a few numbers.
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/models/decoder/config.h"

namespace kinglet {
namespace {

bool is_gated(const std::string& family) { return family != "gpt2" && family != "gpt_neox" && family != "opt"; }

std::int64_t intermediate_size(const DecoderShape& shape) {
  if (shape.intermediate_size != 0) return shape.intermediate_size;
  if (!is_gated(shape.family)) return 4 * shape.hidden_size;
  return (shape.hidden_size * 8 / 3 + 63) / 64 * 64;
}

}  // namespace

const std::vector<std::string>& family_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Family family : {Family::kGpt2, Family::kGptNeox, Family::kOpt, Family::kLlama, Family::kMistral,
                                Family::kQwen2, Family::kQwen3, Family::kGemma3}) {
      all.emplace_back(family_name(family));
    }
    return all;
  }();
  return names;
}

// Through the text that transformers would have, so that every default stands in one place: where that is read.
DecoderConfig decoder_config(const DecoderShape& shape, std::string_view where) {
  if (shape.hidden_size < 1 || shape.num_heads < 1)
    throw bad_input(where, "hidden_size and num_heads must be positive");
  const std::int64_t heads = shape.num_heads, kv_heads = shape.num_kv_heads == 0 ? heads : shape.num_kv_heads;
  const std::int64_t head_dim = shape.head_dim == 0 ? shape.hidden_size / heads : shape.head_dim;
  const bool grouped = is_gated(shape.family);
  if (!grouped && (kv_heads != heads || head_dim * heads != shape.hidden_size)) {
    throw bad_input(where, fmt::format("{} has no num_kv_heads and no head_dim of its own", shape.family),
                    "take a family like llama, or leave them out");
  }
  if (shape.head_dim == 0 && shape.hidden_size % heads != 0) {
    throw bad_input(where, fmt::format("hidden_size {} is no multiple of num_heads {}", shape.hidden_size, heads));
  }
  nlohmann::json json = {{"model_type", shape.family},
                         {"vocab_size", shape.vocabulary_size},
                         {"tie_word_embeddings", shape.tied_embeddings}};
  if (shape.rope_theta > 0) {
    json["rope_theta"] = shape.rope_theta;
    if (shape.family == "gpt_neox") json["rotary_emb_base"] = shape.rope_theta;
  }
  if (shape.family == "gpt2") {
    json.update({{"n_embd", shape.hidden_size},
                 {"n_layer", shape.num_layers},
                 {"n_head", heads},
                 {"n_positions", shape.max_positions},
                 {"n_inner", intermediate_size(shape)}});
  } else {
    json.update({{"hidden_size", shape.hidden_size},
                 {"num_hidden_layers", shape.num_layers},
                 {"num_attention_heads", heads},
                 {"max_position_embeddings", shape.max_positions},
                 {shape.family == "opt" ? "ffn_dim" : "intermediate_size", intermediate_size(shape)}});
  }
  if (grouped) json.update({{"num_key_value_heads", kv_heads}, {"head_dim", head_dim}});
  if (shape.family == "opt") json["word_embed_proj_dim"] = shape.hidden_size;
  if (shape.family == "gemma3_text") json["query_pre_attn_scalar"] = head_dim;
  return parse_decoder_config(json.dump(), where);
}

}  // namespace kinglet
