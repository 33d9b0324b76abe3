#include "kinglet/models/decoder/weight_names.h"

#include <numeric>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

class EntryList {
 public:
  void plain(const std::string& name, const std::string& parameter) { add(name, WeightLayout::kPlain, {parameter}); }
  void add(const std::string& name, WeightLayout layout, std::vector<std::string> parameters) {
    entries.push_back({name, layout, std::move(parameters)});
  }
  void weight_and_bias(const std::string& name, const std::string& parameter, bool bias) {
    plain(name + ".weight", parameter + ".weight");
    if (bias) plain(name + ".bias", parameter + ".bias");
  }
  std::vector<WeightEntry> entries;
};

void add_gpt2(const DecoderConfig& config, EntryList& list) {
  const auto conv = [&](const std::string& name, const std::string& parameter) {
    list.add(name + ".weight", WeightLayout::kTransposed, {parameter + ".weight"});
    list.plain(name + ".bias", parameter + ".bias");
  };
  list.plain("transformer.wte.weight", "embed_tokens");
  list.plain("transformer.wpe.weight", "embed_positions");
  for (std::int64_t i = 0; i < config.num_layers; ++i) {
    const std::string from = fmt::format("transformer.h.{}.", i), to = fmt::format("layers.{}.", i);
    list.weight_and_bias(from + "ln_1", to + "attention_norm", true);
    const std::string a = to + "attention.";
    list.add(from + "attn.c_attn.weight", WeightLayout::kStackedTransposed,
             {a + "q.weight", a + "k.weight", a + "v.weight"});
    list.add(from + "attn.c_attn.bias", WeightLayout::kStacked, {a + "q.bias", a + "k.bias", a + "v.bias"});
    conv(from + "attn.c_proj", a + "o");
    list.weight_and_bias(from + "ln_2", to + "ffn_norm", true);
    conv(from + "mlp.c_fc", to + "ffn.up");
    conv(from + "mlp.c_proj", to + "ffn.down");
  }
  list.weight_and_bias("transformer.ln_f", "final_norm", true);
  if (!config.tied_embeddings) list.plain("lm_head.weight", "lm_head");
}

void add_gpt_neox(const DecoderConfig& config, EntryList& list) {
  list.plain("gpt_neox.embed_in.weight", "embed_tokens");
  for (std::int64_t i = 0; i < config.num_layers; ++i) {
    const std::string from = fmt::format("gpt_neox.layers.{}.", i), to = fmt::format("layers.{}.", i);
    list.weight_and_bias(from + "input_layernorm", to + "attention_norm", true);
    list.weight_and_bias(from + "post_attention_layernorm", to + "ffn_norm", true);
    const std::string a = to + "attention.";
    for (const char* kind : {"weight", "bias"}) {
      if (kind[0] == 'b' && !config.qkv_bias) continue;
      list.add(from + "attention.query_key_value." + kind, WeightLayout::kHeadwise,
               {a + "q." + kind, a + "k." + kind, a + "v." + kind});
    }
    list.weight_and_bias(from + "attention.dense", a + "o", config.output_bias);
    list.weight_and_bias(from + "mlp.dense_h_to_4h", to + "ffn.up", true);
    list.weight_and_bias(from + "mlp.dense_4h_to_h", to + "ffn.down", true);
  }
  list.weight_and_bias("gpt_neox.final_layer_norm", "final_norm", true);
  if (!config.tied_embeddings) list.plain("embed_out.weight", "lm_head");
}

void add_opt(const DecoderConfig& config, EntryList& list) {
  list.plain("model.decoder.embed_tokens.weight", "embed_tokens");
  list.plain("model.decoder.embed_positions.weight", "embed_positions");
  list.weight_and_bias("model.decoder.final_layer_norm", "final_norm", true);
  for (std::int64_t i = 0; i < config.num_layers; ++i) {
    const std::string from = fmt::format("model.decoder.layers.{}.", i), to = fmt::format("layers.{}.", i);
    for (const char* part : {"k", "v", "q"}) {
      list.weight_and_bias(fmt::format("{}self_attn.{}_proj", from, part), to + "attention." + part, config.qkv_bias);
    }
    list.weight_and_bias(from + "self_attn.out_proj", to + "attention.o", config.output_bias);
    list.weight_and_bias(from + "self_attn_layer_norm", to + "attention_norm", true);
    list.weight_and_bias(from + "fc1", to + "ffn.up", config.ffn_bias);
    list.weight_and_bias(from + "fc2", to + "ffn.down", config.ffn_bias);
    list.weight_and_bias(from + "final_layer_norm", to + "ffn_norm", true);
  }
  if (!config.tied_embeddings) list.plain("lm_head.weight", "lm_head");
}

// Llama, Mistral, Qwen2, Qwen3, Gemma 3.
void add_llama_like(const DecoderConfig& config, EntryList& list) {
  list.plain("model.embed_tokens.weight", "embed_tokens");
  for (std::int64_t i = 0; i < config.num_layers; ++i) {
    const std::string from = fmt::format("model.layers.{}.", i), to = fmt::format("layers.{}.", i);
    for (const char* part : {"q", "k", "v"}) {
      list.weight_and_bias(fmt::format("{}self_attn.{}_proj", from, part), to + "attention." + part, config.qkv_bias);
    }
    list.weight_and_bias(from + "self_attn.o_proj", to + "attention.o", config.output_bias);
    if (config.qk_norm) {
      list.plain(from + "self_attn.q_norm.weight", to + "attention.q_norm.weight");
      list.plain(from + "self_attn.k_norm.weight", to + "attention.k_norm.weight");
    }
    for (const char* part : {"gate", "up", "down"}) {
      list.weight_and_bias(fmt::format("{}mlp.{}_proj", from, part), to + "ffn." + part, config.ffn_bias);
    }
    list.plain(from + "input_layernorm.weight", to + "attention_norm.weight");
    if (config.post_norms) {
      list.plain(from + "post_attention_layernorm.weight", to + "attention_post_norm.weight");
      list.plain(from + "pre_feedforward_layernorm.weight", to + "ffn_norm.weight");
      list.plain(from + "post_feedforward_layernorm.weight", to + "ffn_post_norm.weight");
    } else {
      list.plain(from + "post_attention_layernorm.weight", to + "ffn_norm.weight");
    }
  }
  list.plain("model.norm.weight", "final_norm.weight");
  if (!config.tied_embeddings) list.plain("lm_head.weight", "lm_head");
}

std::vector<std::int64_t> rows_of(const std::vector<std::vector<std::int64_t>>& parts) {
  std::vector<std::int64_t> rows;
  for (const auto& part : parts) rows.push_back(part[0]);
  return rows;
}

// The shape of the packed tensor.
std::vector<std::int64_t> packed_shape(WeightLayout layout, const std::vector<std::vector<std::int64_t>>& parts) {
  std::vector<std::int64_t> shape = parts[0];
  const auto rows = rows_of(parts);
  shape[0] = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  if (layout == WeightLayout::kTransposed || layout == WeightLayout::kStackedTransposed) std::swap(shape[0], shape[1]);
  return shape;
}

}  // namespace

std::vector<WeightEntry> weight_entries(const DecoderConfig& config) {
  EntryList list;
  switch (config.family) {
    case Family::kGpt2:
      add_gpt2(config, list);
      break;
    case Family::kGptNeox:
      add_gpt_neox(config, list);
      break;
    case Family::kOpt:
      add_opt(config, list);
      break;
    default:
      add_llama_like(config, list);
  }
  return list.entries;
}

at::Tensor pack_weight(WeightLayout layout, const std::vector<at::Tensor>& parts, std::int64_t num_heads) {
  switch (layout) {
    case WeightLayout::kPlain:
      return parts[0].contiguous();
    case WeightLayout::kTransposed:
      return parts[0].t().contiguous();
    case WeightLayout::kStacked:
      return at::cat(parts, 0);
    case WeightLayout::kStackedTransposed:
      return at::cat(parts, 0).t().contiguous();
    case WeightLayout::kHeadwise: {
      auto shape = parts[0].sizes().vec();
      shape[0] = 3 * parts[0].size(0);
      std::vector<std::int64_t> split = {num_heads, parts[0].size(0) / num_heads};
      split.insert(split.end(), shape.begin() + 1, shape.end());
      std::vector<at::Tensor> heads;
      for (const at::Tensor& part : parts) heads.push_back(part.reshape(split));
      return at::stack(heads, 1).reshape(shape).contiguous();
    }
  }
  TORCH_CHECK(false, "unknown layout");
}

std::vector<at::Tensor> unpack_weight(WeightLayout layout, const at::Tensor& packed,
                                      const std::vector<std::vector<std::int64_t>>& parts, std::int64_t num_heads) {
  const auto expected = packed_shape(layout, parts);
  if (packed.sizes() != at::IntArrayRef(expected)) {
    throw bad_input("", fmt::format("its shape is [{}], the model's is [{}]", fmt::join(packed.sizes().vec(), ", "),
                                    fmt::join(expected, ", ")));
  }
  switch (layout) {
    case WeightLayout::kPlain:
      return {packed};
    case WeightLayout::kTransposed:
      return {packed.t()};
    case WeightLayout::kStacked:
      return packed.split_with_sizes(rows_of(parts), 0);
    case WeightLayout::kStackedTransposed:
      return packed.t().split_with_sizes(rows_of(parts), 0);
    case WeightLayout::kHeadwise: {
      std::vector<std::int64_t> split = {num_heads, 3, parts[0][0] / num_heads};
      split.insert(split.end(), parts[0].begin() + 1, parts[0].end());
      const at::Tensor heads = packed.reshape(split);
      std::vector<at::Tensor> all;
      for (std::int64_t i = 0; i < 3; ++i)
        all.push_back(heads.select(1, i).reshape(parts[static_cast<std::size_t>(i)]));
      return all;
    }
  }
  TORCH_CHECK(false, "unknown layout");
}

std::vector<std::string> alternative_names(const DecoderConfig& config, const std::string& name) {
  std::vector<std::string> names;
  for (const std::string_view prefix : {"transformer.", "gpt_neox.", "model."}) {
    if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
  }
  if (config.family == Family::kGemma3) {
    names.push_back("language_model." + name);
    if (name.starts_with("model.")) names.push_back("model.language_model." + name.substr(6));
  }
  return names;
}

}  // namespace kinglet
