#include "kinglet/models/decoder/decoder.h"

#include <cmath>

#include <fmt/format.h>
#include <torch/nn/modules/container/modulelist.h>

#include "kinglet/base/error.h"
#include "kinglet/nn/int8.h"
#include "kinglet/nn/linear.h"
#include "kinglet/nn/recompute.h"

namespace kinglet {
namespace {

using nn::DenseProjection;

std::shared_ptr<nn::Norm> make_norm(const DecoderConfig& config, std::int64_t dim) {
  if (config.rms_norm) return std::make_shared<nn::RmsNorm>(dim, config.norm_eps, config.norm_offset);
  return std::make_shared<nn::LayerNorm>(dim, config.norm_eps);
}

std::shared_ptr<nn::Norm> make_norm(const DecoderConfig& config, const DecoderParts* parts, NormPlace place) {
  std::shared_ptr<nn::Norm> norm = parts == nullptr ? nullptr : parts->make_norm(config, place);
  return norm ? norm : make_norm(config, config.hidden_size);
}

std::shared_ptr<nn::Attention> make_attention(const DecoderConfig& config, std::int64_t number) {
  const std::int64_t q = config.num_heads * config.head_dim, kv = config.num_kv_heads * config.head_dim;
  const auto dense = [](std::int64_t in, std::int64_t out, bool bias) {
    return std::make_shared<DenseProjection>(in, out, bias);
  };
  nn::SelfAttentionSettings settings;
  settings.heads = config.num_heads;
  settings.kv_heads = config.num_kv_heads;
  settings.head_dim = config.head_dim;
  settings.window = config.windowed[static_cast<std::size_t>(number)] ? config.window : 0;
  settings.scale = config.attention_scale;
  const auto head_norm = [&] { return config.qk_norm ? make_norm(config, config.head_dim) : nullptr; };
  return std::make_shared<nn::SelfAttention>(
      settings, dense(config.hidden_size, q, config.qkv_bias), dense(config.hidden_size, kv, config.qkv_bias),
      dense(config.hidden_size, kv, config.qkv_bias), dense(q, config.hidden_size, config.output_bias), head_norm(),
      head_norm());
}

std::shared_ptr<nn::Ffn> make_ffn(const DecoderConfig& config) {
  const auto up = [&] {
    return std::make_shared<DenseProjection>(config.hidden_size, config.intermediate_size, config.ffn_bias);
  };
  auto down = std::make_shared<DenseProjection>(config.intermediate_size, config.hidden_size, config.ffn_bias);
  if (!config.gated_ffn) return std::make_shared<nn::PlainFfn>(up(), down, config.activation);
  return std::make_shared<nn::GatedFfn>(up(), up(), down, config.activation);
}

// [rows, 1]
at::Tensor positions_behind(const std::vector<nn::KvCache*>& caches) {
  at::Tensor positions = at::empty({static_cast<std::int64_t>(caches.size()), 1}, at::kLong);
  for (std::size_t row = 0; row < caches.size(); ++row) positions.data_ptr<std::int64_t>()[row] = caches[row]->length();
  return positions;
}

}  // namespace

DecoderLayer::DecoderLayer(const DecoderConfig& config, const DecoderParts* parts, std::int64_t number)
    : parallel_residual_(config.parallel_residual),
      attention_(register_module(
          "attention", parts == nullptr ? make_attention(config, number) : parts->make_attention(config, number))),
      ffn_(register_module("ffn", parts == nullptr ? make_ffn(config) : parts->make_ffn(config, number))),
      attention_norm_(register_module("attention_norm", make_norm(config, parts, NormPlace::kAttention))),
      ffn_norm_(register_module("ffn_norm", make_norm(config, parts, NormPlace::kFfn))) {
  if (!config.post_norms) return;
  attention_post_norm_ = register_module("attention_post_norm", make_norm(config, config.hidden_size));
  ffn_post_norm_ = register_module("ffn_post_norm", make_norm(config, config.hidden_size));
}

at::Tensor DecoderLayer::forward(const at::Tensor& x, const nn::AttentionContext& context) {
  at::Tensor mixed = attention_->forward(attention_norm_->forward(x), context);
  if (attention_post_norm_) mixed = attention_post_norm_->forward(mixed);
  if (parallel_residual_) return x + mixed + ffn_->forward(ffn_norm_->forward(x));
  const at::Tensor middle = x + mixed;
  at::Tensor fed = ffn_->forward(ffn_norm_->forward(middle));
  if (ffn_post_norm_) fed = ffn_post_norm_->forward(fed);
  return middle + fed;
}

Decoder::Decoder(const DecoderConfig& config, std::shared_ptr<const DecoderParts> parts)
    : config_(config), parts_(std::move(parts)) {
  check_decoder_config(config, "model");
  embed_tokens_ = register_parameter("embed_tokens", at::empty({config.vocabulary_size, config.hidden_size}));
  if (config.learned_positions) {
    embed_positions_ = register_parameter(
        "embed_positions", at::empty({config.max_positions + config.position_offset, config.hidden_size}));
  }
  torch::nn::ModuleList list;
  for (std::int64_t number = 0; number < config.num_layers; ++number) {
    layers_.push_back(std::make_shared<DecoderLayer>(config, parts_.get(), number));
    list->push_back(layers_.back());
  }
  register_module("layers", list);
  final_norm_ = register_module("final_norm", make_norm(config, parts_.get(), NormPlace::kFinal));
  if (!config.tied_embeddings) {
    lm_head_ = register_parameter("lm_head", at::empty({config.vocabulary_size, config.hidden_size}));
  }
}

void Decoder::initialize(std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  if (parts_) return parts_->initialize(*this, seed);
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const double deviation = config_.initializer_range;
  const double residual = deviation / std::sqrt(2.0 * static_cast<double>(config_.num_layers));
  for (const auto& item : named_parameters()) {
    at::Tensor value = item.value();
    const std::string& name = item.key();
    if (name.find("norm") != std::string::npos) {
      const bool is_factor = name.ends_with("weight");
      value.fill_(is_factor ? 1.0 - config_.norm_offset : 0.0);
    } else if (name.ends_with(".bias")) {
      value.zero_();
    } else {
      const bool writes_residual = name.ends_with("attention.o.weight") || name.ends_with("ffn.down.weight");
      value.normal_(0.0, writes_residual ? residual : deviation, generator);
    }
  }
}

at::Tensor Decoder::embed(const DecoderInput& input, const at::Tensor& positions) const {
  if (input.tokens.numel() > 0) {
    const auto least = input.tokens.min().item<std::int64_t>(), most = input.tokens.max().item<std::int64_t>();
    if (least < 0 || most >= config_.vocabulary_size) {
      throw bad_input("",
                      fmt::format("token id {} is outside the model's {} embeddings", least < 0 ? least : most,
                                  config_.vocabulary_size),
                      "use the tokenizer that belongs to the model");
    }
  }
  at::Tensor x = nn::embedding_rows(embed_tokens_, embed_scales_, input.tokens);
  if (config_.embedding_scale != 1.0) x = x * config_.embedding_scale;
  if (!config_.learned_positions) return x;
  if (positions.numel() > 0 && (positions.max().item<std::int64_t>() >= config_.max_positions ||
                                positions.min().item<std::int64_t>() < -config_.position_offset)) {
    throw bad_input("", fmt::format("the text is longer than the model's {} positions", config_.max_positions),
                    "shorten it");
  }
  return x + at::embedding(embed_positions_, positions + config_.position_offset).to(at::kFloat);
}

at::Tensor Decoder::forward(const DecoderInput& input) {
  TORCH_CHECK(input.tokens.dim() == 2, "tokens must be [batch, tokens]");
  TORCH_CHECK(input.caches.empty() || (input.tokens.size(0) == static_cast<std::int64_t>(input.caches.size()) &&
                                       input.tokens.size(1) == 1 && input.cache == nullptr),
              "caches of their own take one token a row");
  const std::int64_t tokens = input.tokens.size(1), before = input.cache == nullptr ? 0 : input.cache->length();
  const at::Tensor positions = input.positions.defined() ? input.positions
                               : input.caches.empty()    ? at::arange(before, before + tokens, at::kLong).unsqueeze(0)
                                                         : positions_behind(input.caches);
  at::Tensor x = embed(input, positions);
  nn::RotaryAngles angles, local_angles;
  if (config_.rotary.rotary_dim > 0) {
    angles = nn::rotary_angles(config_.rotary, positions);
    local_angles = config_.local_rotary == config_.rotary ? angles : nn::rotary_angles(config_.local_rotary, positions);
  }
  for (std::size_t number = 0; number < layers_.size(); ++number) {
    const nn::AttentionContext context{config_.windowed[number] ? local_angles : angles, input.first_key, input.cache,
                                       static_cast<std::int64_t>(number), input.caches};
    DecoderLayer& layer = *layers_[number];
    if (checkpointing_ && at::GradMode::is_enabled() && input.cache == nullptr) {
      x = nn::recompute([&layer, context](const at::Tensor& in) { return layer.forward(in, context); }, x);
    } else {
      x = layer.forward(x, context);
    }
  }
  if (input.cache != nullptr) input.cache->advance(tokens);
  for (nn::KvCache* cache : input.caches) cache->advance(1);
  return final_norm_->forward(x);
}

const at::Tensor& Decoder::output_weight() const { return config_.tied_embeddings ? embed_tokens_ : lm_head_; }

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  return nn::linear(hidden, output_weight(), {}, output_scales_);
}

void Decoder::round_to_int8() {
  if (is_int8()) return;
  const at::NoGradGuard no_grad;
  for (const auto& module : modules()) {
    if (auto* const projection = dynamic_cast<nn::Projection*>(module.get())) projection->round_to_int8();
  }
  const auto round = [](at::Tensor& matrix) {
    nn::Int8Matrix rounded = nn::quantize_int8(matrix);
    matrix.requires_grad_(false);
    matrix.set_data(rounded.values);
    return rounded.scales;
  };
  embed_scales_ = round(embed_tokens_);
  output_scales_ = config_.tied_embeddings ? embed_scales_ : round(lm_head_);
}

nn::KvCache Decoder::make_cache(std::int64_t batch, std::int64_t capacity) const {
  return {config_.num_layers, batch, capacity, config_.num_kv_heads, config_.head_dim};
}

}  // namespace kinglet
