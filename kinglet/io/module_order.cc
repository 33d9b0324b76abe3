#include "kinglet/io/module_order.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <compare>
#include <optional>
#include <span>

#include "kinglet/base/ascii.h"

namespace kinglet {
namespace {

// A module order: name patterns in the order of the modules of a model with one layer. '#' stands for a layer number;
// neighbouring patterns with the same text before '#' repeat together, layer after layer. A pattern names a module
// (whose weight comes before its bias) or a parameter itself.
struct Architecture {
  std::vector<std::string_view> model_types;
  std::vector<std::string_view> prefixes;  // a base-model prefix that may stand in front
  std::vector<std::string_view> patterns;
};

const std::vector<Architecture>& architectures() {
  static const std::vector<Architecture> list = {
      {{"gpt_neox"},
       {"gpt_neox."},
       {"embed_in", "layers.#.input_layernorm", "layers.#.post_attention_layernorm",
        "layers.#.attention.query_key_value", "layers.#.attention.dense", "layers.#.mlp.dense_h_to_4h",
        "layers.#.mlp.dense_4h_to_h", "final_layer_norm", "embed_out", "lm_head", "score"}},
      {{"gpt2"},
       {"transformer."},
       {"wte", "wpe", "h.#.ln_1", "h.#.attn.c_attn", "h.#.attn.c_proj", "h.#.ln_2", "h.#.mlp.c_fc", "h.#.mlp.c_proj",
        "ln_f", "lm_head", "score"}},
      {{"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "olmo2", "granite", "smollm3"},
       {"model."},
       {"embed_tokens", "layers.#.self_attn.q_proj", "layers.#.self_attn.k_proj", "layers.#.self_attn.v_proj",
        "layers.#.self_attn.o_proj", "layers.#.self_attn.q_norm", "layers.#.self_attn.k_norm", "layers.#.mlp.gate_proj",
        "layers.#.mlp.up_proj", "layers.#.mlp.down_proj", "layers.#.input_layernorm",
        "layers.#.post_attention_layernorm", "layers.#.pre_feedforward_layernorm",
        "layers.#.post_feedforward_layernorm", "norm", "lm_head", "score"}},
      {{"phi3"},
       {"model."},
       {"embed_tokens", "layers.#.self_attn.o_proj", "layers.#.self_attn.qkv_proj", "layers.#.mlp.gate_up_proj",
        "layers.#.mlp.down_proj", "layers.#.input_layernorm", "layers.#.post_attention_layernorm", "norm", "lm_head",
        "score"}},
      {{"gemma3"},
       {"model."},
       {"vision_tower.embeddings.patch_embedding",
        "vision_tower.embeddings.position_embedding",
        "vision_tower.encoder.layers.#.layer_norm1",
        "vision_tower.encoder.layers.#.self_attn.k_proj",
        "vision_tower.encoder.layers.#.self_attn.v_proj",
        "vision_tower.encoder.layers.#.self_attn.q_proj",
        "vision_tower.encoder.layers.#.self_attn.out_proj",
        "vision_tower.encoder.layers.#.layer_norm2",
        "vision_tower.encoder.layers.#.mlp.fc1",
        "vision_tower.encoder.layers.#.mlp.fc2",
        "vision_tower.post_layernorm",
        "vision_tower.head.probe",
        "vision_tower.head.attention.in_proj_weight",
        "vision_tower.head.attention.in_proj_bias",
        "vision_tower.head.attention.out_proj",
        "vision_tower.head.layernorm",
        "vision_tower.head.mlp.fc1",
        "vision_tower.head.mlp.fc2",
        "multi_modal_projector.mm_input_projection_weight",
        "multi_modal_projector.mm_soft_emb_norm",
        "language_model.model.embed_tokens",
        "language_model.model.layers.#.self_attn.q_proj",
        "language_model.model.layers.#.self_attn.k_proj",
        "language_model.model.layers.#.self_attn.v_proj",
        "language_model.model.layers.#.self_attn.o_proj",
        "language_model.model.layers.#.self_attn.q_norm",
        "language_model.model.layers.#.self_attn.k_norm",
        "language_model.model.layers.#.mlp.gate_proj",
        "language_model.model.layers.#.mlp.up_proj",
        "language_model.model.layers.#.mlp.down_proj",
        "language_model.model.layers.#.input_layernorm",
        "language_model.model.layers.#.post_attention_layernorm",
        "language_model.model.layers.#.pre_feedforward_layernorm",
        "language_model.model.layers.#.post_feedforward_layernorm",
        "language_model.model.norm",
        "language_model.lm_head",
        "lm_head"}},
      // transformers 4: norms after the feed-forward part
      {{"vit", "deit"},
       {"vit.", "deit."},
       {"embeddings.cls_token", "embeddings.distillation_token", "embeddings.mask_token",
        "embeddings.position_embeddings", "embeddings.patch_embeddings.projection",
        "encoder.layer.#.attention.attention.query", "encoder.layer.#.attention.attention.key",
        "encoder.layer.#.attention.attention.value", "encoder.layer.#.attention.output.dense",
        "encoder.layer.#.intermediate.dense", "encoder.layer.#.output.dense", "encoder.layer.#.layernorm_before",
        "encoder.layer.#.layernorm_after", "layernorm", "pooler.dense", "classifier", "cls_classifier",
        "distillation_classifier"}},
      // transformers 5: norms before it; the distillation token comes last of the embeddings' own parameters
      {{"vit", "deit"},
       {"vit.", "deit."},
       {"embeddings.cls_token", "embeddings.mask_token", "embeddings.position_embeddings",
        "embeddings.distillation_token", "embeddings.patch_embeddings.projection",
        "encoder.layer.#.attention.attention.query", "encoder.layer.#.attention.attention.key",
        "encoder.layer.#.attention.attention.value", "encoder.layer.#.attention.output.dense",
        "encoder.layer.#.layernorm_before", "encoder.layer.#.layernorm_after", "encoder.layer.#.intermediate.dense",
        "encoder.layer.#.output.dense", "layernorm", "pooler.dense", "classifier", "cls_classifier",
        "distillation_classifier"}},
      {{"bert"},
       {"bert."},
       {"embeddings.word_embeddings",
        "embeddings.position_embeddings",
        "embeddings.token_type_embeddings",
        "embeddings.LayerNorm",
        "encoder.layer.#.attention.self.query",
        "encoder.layer.#.attention.self.key",
        "encoder.layer.#.attention.self.value",
        "encoder.layer.#.attention.output.dense",
        "encoder.layer.#.attention.output.LayerNorm",
        "encoder.layer.#.intermediate.dense",
        "encoder.layer.#.output.dense",
        "encoder.layer.#.output.LayerNorm",
        "pooler.dense",
        "cls.predictions.bias",
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.decoder",
        "cls.seq_relationship",
        "classifier",
        "qa_outputs"}},
      {{"roberta"},
       {"roberta."},
       {"embeddings.word_embeddings",
        "embeddings.token_type_embeddings",
        "embeddings.LayerNorm",
        "embeddings.position_embeddings",
        "encoder.layer.#.attention.self.query",
        "encoder.layer.#.attention.self.key",
        "encoder.layer.#.attention.self.value",
        "encoder.layer.#.attention.output.dense",
        "encoder.layer.#.attention.output.LayerNorm",
        "encoder.layer.#.intermediate.dense",
        "encoder.layer.#.output.dense",
        "encoder.layer.#.output.LayerNorm",
        "pooler.dense",
        "lm_head.bias",
        "lm_head.dense",
        "lm_head.layer_norm",
        "lm_head.decoder",
        "classifier.dense",
        "classifier.out_proj",
        "classifier",
        "qa_outputs"}},
      // transformers 4 (RoBERTa): position embeddings before token types
      {{"roberta"},
       {"roberta."},
       {"embeddings.word_embeddings",
        "embeddings.position_embeddings",
        "embeddings.token_type_embeddings",
        "embeddings.LayerNorm",
        "encoder.layer.#.attention.self.query",
        "encoder.layer.#.attention.self.key",
        "encoder.layer.#.attention.self.value",
        "encoder.layer.#.attention.output.dense",
        "encoder.layer.#.attention.output.LayerNorm",
        "encoder.layer.#.intermediate.dense",
        "encoder.layer.#.output.dense",
        "encoder.layer.#.output.LayerNorm",
        "pooler.dense",
        "lm_head.bias",
        "lm_head.dense",
        "lm_head.layer_norm",
        "lm_head.decoder",
        "classifier.dense",
        "classifier.out_proj",
        "classifier",
        "qa_outputs"}},
      {{"opt"},
       {"model.", "model.decoder.", "decoder."},
       {"embed_tokens", "embed_positions", "project_out", "project_in", "final_layer_norm", "layers.#.self_attn.k_proj",
        "layers.#.self_attn.v_proj", "layers.#.self_attn.q_proj", "layers.#.self_attn.out_proj",
        "layers.#.self_attn_layer_norm", "layers.#.fc1", "layers.#.fc2", "layers.#.final_layer_norm", "lm_head",
        "score"}},
  };
  return list;
}

// Where a name stands in an architecture: which run of patterns, which layer, which pattern, weight before bias.
struct Position {
  std::size_t block = 0;
  std::size_t layer = 0;
  std::size_t pattern = 0;
  int leaf = 0;
  auto operator<=>(const Position&) const = default;
};

// Rank of what follows the module's name; nothing: the pattern is the parameter itself.
std::optional<int> leaf_rank(std::string_view rest) {
  if (rest.empty() || rest == ".weight") return 0;
  if (rest == ".bias") return 1;
  return std::nullopt;
}

struct PatternMatch {
  std::size_t layer = 0;
  int leaf = 0;
};

std::optional<PatternMatch> match_pattern(std::string_view pattern, std::string_view name) {
  PatternMatch match;
  const std::size_t hash = pattern.find('#');
  if (hash != std::string_view::npos) {
    if (!name.starts_with(pattern.substr(0, hash))) return std::nullopt;
    name.remove_prefix(hash);
    pattern.remove_prefix(hash + 1);
    std::size_t digits = 0;
    while (digits < name.size() && digits < 9 && name[digits] >= '0' && name[digits] <= '9') {
      match.layer = match.layer * 10 + static_cast<std::size_t>(name[digits++] - '0');
    }
    if (digits == 0) return std::nullopt;
    name.remove_prefix(digits);
  }
  if (!name.starts_with(pattern)) return std::nullopt;
  const std::optional<int> leaf = leaf_rank(name.substr(pattern.size()));
  if (!leaf) return std::nullopt;
  match.leaf = *leaf;
  return match;
}

std::string_view before_layer(std::string_view pattern) { return pattern.substr(0, pattern.find('#')); }

std::optional<Position> locate(const Architecture& architecture, std::string_view name) {
  std::size_t block = 0;
  for (std::size_t i = 0; i < architecture.patterns.size(); ++i) {
    const std::string_view pattern = architecture.patterns[i];
    const bool repeats = pattern.find('#') != std::string_view::npos;
    if (i > 0 && !(repeats && before_layer(pattern) == before_layer(architecture.patterns[i - 1]))) ++block;
    if (const auto match = match_pattern(pattern, name)) return Position{block, match->layer, i, match->leaf};
  }
  return std::nullopt;
}

std::optional<Position> locate_with_prefix(const Architecture& architecture, std::string_view name) {
  if (const auto position = locate(architecture, name)) return position;
  for (const std::string_view prefix : architecture.prefixes) {
    if (!name.starts_with(prefix)) continue;
    if (const auto position = locate(architecture, name.substr(prefix.size()))) return position;
  }
  return std::nullopt;
}

std::optional<std::vector<std::size_t>> order_by(const Architecture& architecture,
                                                 const std::vector<std::string>& names) {
  std::vector<std::pair<Position, std::size_t>> places;
  places.reserve(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto position = locate_with_prefix(architecture, without_wrapper_prefix(names[i]));
    if (!position) return std::nullopt;
    places.emplace_back(*position, i);
  }
  std::sort(places.begin(), places.end());
  std::vector<std::size_t> order;
  order.reserve(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (i > 0 && places[i].first == places[i - 1].first) return std::nullopt;  // two names for one place
    order.push_back(places[i].second);
  }
  return order;
}

}  // namespace

std::vector<std::vector<std::size_t>> known_module_orders(const std::vector<std::string>& names,
                                                          std::string_view model_type) {
  std::vector<std::vector<std::size_t>> orders;
  for (const Architecture& architecture : architectures()) {
    const auto& types = architecture.model_types;
    if (!model_type.empty() && std::find(types.begin(), types.end(), model_type) == types.end()) continue;
    auto order = order_by(architecture, names);
    if (order && std::find(orders.begin(), orders.end(), *order) == orders.end()) orders.push_back(std::move(*order));
  }
  return orders;
}

std::string without_wrapper_prefix(std::string_view name) {
  static constexpr std::array<std::string_view, 4> kPrefixes = {"module.", "_orig_mod.", "_fsdp_wrapped_module.",
                                                                "_forward_module."};
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view prefix : kPrefixes) {
      if (name.size() > prefix.size() && name.starts_with(prefix)) {
        name.remove_prefix(prefix.size());
        again = true;
      }
    }
  }
  return std::string(name);
}

bool is_norm_name(std::string_view name) {
  const std::string text = ascii::lower(name);
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('.', begin), text.size());
    const std::string_view part = std::string_view(text).substr(begin, end - begin);
    const bool short_form = part.starts_with("ln") || part.starts_with("bn");
    const bool short_norm = short_form && (part.size() == 2 || part[2] == '_' || std::isdigit(part[2]) != 0);
    if (part.find("norm") != std::string_view::npos || short_norm) return true;
    begin = end + 1;
  }
  return false;
}

bool is_buffer_name(std::string_view name, std::size_t rank) {
  static constexpr std::array<std::string_view, 13> kSuffixes = {"running_mean",
                                                                 "running_var",
                                                                 "num_batches_tracked",
                                                                 "inv_freq",
                                                                 "masked_bias",
                                                                 "embed_scale",
                                                                 "cos_cached",
                                                                 "sin_cached",
                                                                 "position_ids",
                                                                 "token_type_ids",
                                                                 "relative_coords_table",
                                                                 "attn_mask",
                                                                 "relative_position_index"};
  for (const std::string_view suffix : kSuffixes) {
    if (name.ends_with(suffix)) return true;
  }
  return rank > 2 && (name.ends_with("attention.bias") || name.ends_with("attn.bias"));
}

}  // namespace kinglet
