// One decoder language model for all families: token ids in, hidden states and logits out.
//
// Parameter names (weight_names.h maps them to a family's):
//   embed_tokens [vocabulary, hidden]   embed_positions [positions, hidden]   lm_head [vocabulary, hidden]
//   layers.N.attention.{q,k,v,o}.{weight,bias}   layers.N.attention.{q_norm,k_norm}.weight
//   layers.N.{attention_norm,attention_post_norm,ffn_norm,ffn_post_norm}.{weight,bias}
//   layers.N.ffn.{gate,up,down}.{weight,bias}   final_norm.{weight,bias}
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <torch/nn/module.h>

#include "kinglet/models/decoder/config.h"
#include "kinglet/models/decoder/decoder_parts.h"
#include "kinglet/nn/ffn.h"
#include "kinglet/nn/kv_cache.h"
#include "kinglet/nn/norm.h"
#include "kinglet/nn/self_attention.h"

namespace kinglet {

struct DecoderInput {
  at::Tensor tokens;  // [batch, tokens] int64
  // [batch or 1, tokens] int64, or undefined: 0, 1, 2 ... behind what the cache holds.
  at::Tensor positions;
  // [batch, tokens] int32, or undefined: keys (numbered from the start of the cache) before it are hidden from the
  // token: padding on the left, or the documents packed before its own.
  at::Tensor first_key;
  nn::KvCache* cache = nullptr;
  // In place of `cache`: one of one row for each row of `tokens` [batch, 1], however long each is; only without
  // autograd. Positions are those behind each cache.
  std::vector<nn::KvCache*> caches{};
};

class DecoderLayer : public torch::nn::Module {
 public:
  DecoderLayer(const DecoderConfig& config, const DecoderParts* parts, std::int64_t number);
  at::Tensor forward(const at::Tensor& x, const nn::AttentionContext& context);

 private:
  bool parallel_residual_;
  std::shared_ptr<nn::Attention> attention_;
  std::shared_ptr<nn::Ffn> ffn_;
  std::shared_ptr<nn::Norm> attention_norm_, attention_post_norm_, ffn_norm_, ffn_post_norm_;
};

class Decoder : public torch::nn::Module {
 public:
  // Parameters are not initialised: load them (model_folder.h), or call initialize().
  // `parts`: another method's blocks in place of the family's.
  explicit Decoder(const DecoderConfig& config, std::shared_ptr<const DecoderParts> parts = nullptr);

  // Normal with deviation initializer_range; projections that write into the residual stream are divided by
  // sqrt(2 num_layers) (Radford et al. 2019, section 2.3); norms and biases at their neutral values. With parts, as
  // these say.
  void initialize(std::uint64_t seed);

  // Returns [batch, tokens, hidden] fp32, behind the final norm. Token ids outside the vocabulary and positions
  // outside a learned table raise Error (bad input).
  at::Tensor forward(const DecoderInput& input);
  // hidden: [..., hidden] -> [..., vocabulary] fp32
  at::Tensor logits(const at::Tensor& hidden) const;
  // The matrix [vocabulary, hidden] behind logits(), for losses that never hold all logits; not when it is int8.
  const at::Tensor& output_weight() const;

  // Rounds all dense projections and the output matrix (with the embeddings, where these are the same or not) to int8
  // (nn/int8.h), for inference only and for good.
  void round_to_int8();
  bool is_int8() const { return output_scales_.defined(); }

  nn::KvCache make_cache(std::int64_t batch, std::int64_t capacity) const;
  const DecoderConfig& config() const { return config_; }
  const DecoderParts* parts() const { return parts_.get(); }  // null: a family's own blocks
  // Recompute each layer in the backward pass instead of keeping its activations.
  void set_checkpointing(bool on) { checkpointing_ = on; }

 private:
  at::Tensor embed(const DecoderInput& input, const at::Tensor& positions) const;

  DecoderConfig config_;
  std::shared_ptr<const DecoderParts> parts_;
  at::Tensor embed_tokens_, embed_positions_, lm_head_;
  at::Tensor embed_scales_, output_scales_;  // of int8 matrices
  std::vector<std::shared_ptr<DecoderLayer>> layers_;
  std::shared_ptr<nn::Norm> final_norm_;
  bool checkpointing_ = false;
};

}  // namespace kinglet
