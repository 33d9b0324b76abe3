// A language model whose text is known: behind token t comes token t + 1. With the tokenizer of GPT-2's kind, in which
// the printable ASCII characters are tokens 0 to 93, "a" is continued by "bcdef".
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/gguf_bytes.h"

#include "kinglet/base/files.h"
#include "kinglet/base/rng.h"
#include "kinglet/io/safetensors.h"

namespace kinglet::testing_support {

class ChainModel {
 public:
  static constexpr std::int64_t kVocabulary = 601, kWidth = 64, kPositions = 48;
  static constexpr std::int64_t kEndOfText = 600;
  static constexpr int id_of(char character) { return character - '!'; }

  ChainModel() {
    Rng rng(7);
    embedding_.resize(kVocabulary * kWidth);
    for (float& value : embedding_) value = rng.below(2) == 0 ? -1.0F : 1.0F;
    output_.resize(embedding_.size());
    for (std::size_t token = 0; token < kVocabulary; ++token) {
      const std::size_t next = (token + 1) % kVocabulary;
      for (std::size_t i = 0; i < kWidth; ++i) output_[next * kWidth + i] = 0.5F * embedding_[token * kWidth + i];
    }
  }

  nlohmann::json config = {{"model_type", "llama"},
                           {"vocab_size", kVocabulary},
                           {"hidden_size", kWidth},
                           {"intermediate_size", 8},
                           {"num_hidden_layers", 1},
                           {"num_attention_heads", 2},
                           {"max_position_embeddings", kPositions},
                           {"eos_token_id", kEndOfText}};

  static nlohmann::json tokenizer() {
    const auto path = std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text/gpt2.json";
    return nlohmann::json::parse(as_text(read_file(path)));
  }

  void write_folder(const std::filesystem::path& folder) const {
    std::filesystem::create_directories(folder);
    write_file_atomically(folder / "config.json", as_bytes(config.dump()));
    write_file_atomically(folder / "tokenizer.json", as_bytes(tokenizer().dump()));
    std::vector<TensorView> views;
    for (const Weight& weight : weights()) {
      views.push_back({weight.name, DType::kF32, weight.shape, std::as_bytes(std::span(*weight.values))});
    }
    write_safetensors(folder / "model.safetensors", views);
  }

  // Without tensors: add_tensors() comes after the metadata.
  static GgufBytes gguf() {
    std::vector<std::string> texts(kVocabulary), merges;
    const nlohmann::json file = tokenizer();
    for (const auto& [text, id] : file.at("model").at("vocab").items()) texts.at(id.get<std::size_t>()) = text;
    texts[kEndOfText] = "<|endoftext|>";
    for (const auto& merge : file.at("model").at("merges")) {
      merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
    }
    std::vector<std::int32_t> types(kVocabulary, 1);
    types[kEndOfText] = 3;
    GgufBytes result;
    result.text("general.architecture", "llama").u32("llama.context_length", kPositions);
    result.u32("llama.embedding_length", kWidth).u32("llama.block_count", 1).u32("llama.feed_forward_length", 8);
    result.u32("llama.attention.head_count", 2).f32("llama.attention.layer_norm_rms_epsilon", 1e-6F);
    result.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "gpt-2");
    result.texts("tokenizer.ggml.tokens", texts).integers("tokenizer.ggml.token_type", types);
    result.texts("tokenizer.ggml.merges", merges);
    return result.u32("tokenizer.ggml.bos_token_id", kEndOfText).u32("tokenizer.ggml.eos_token_id", kEndOfText);
  }
  void add_tensors(GgufBytes& file) const {
    for (const Weight& weight : weights()) {
      const std::vector<std::uint64_t> sizes(weight.shape.rbegin(), weight.shape.rend());
      file.tensor(weight.gguf_name, GgufType::kF32, sizes, raw(*weight.values));
    }
  }

 private:
  struct Weight {
    std::string name, gguf_name;
    std::vector<std::int64_t> shape;
    const std::vector<float>* values;
  };

  std::vector<Weight> weights() const {
    static const std::vector<float> ones(kWidth, 1.0F), square(kWidth * kWidth, 0.0F), narrow(8 * kWidth, 0.0F);
    const std::string layer = "model.layers.0.";
    return {{"model.embed_tokens.weight", "token_embd.weight", {kVocabulary, kWidth}, &embedding_},
            {layer + "self_attn.q_proj.weight", "blk.0.attn_q.weight", {kWidth, kWidth}, &square},
            {layer + "self_attn.k_proj.weight", "blk.0.attn_k.weight", {kWidth, kWidth}, &square},
            {layer + "self_attn.v_proj.weight", "blk.0.attn_v.weight", {kWidth, kWidth}, &square},
            {layer + "self_attn.o_proj.weight", "blk.0.attn_output.weight", {kWidth, kWidth}, &square},
            {layer + "mlp.gate_proj.weight", "blk.0.ffn_gate.weight", {8, kWidth}, &narrow},
            {layer + "mlp.up_proj.weight", "blk.0.ffn_up.weight", {8, kWidth}, &narrow},
            {layer + "mlp.down_proj.weight", "blk.0.ffn_down.weight", {kWidth, 8}, &narrow},
            {layer + "input_layernorm.weight", "blk.0.attn_norm.weight", {kWidth}, &ones},
            {layer + "post_attention_layernorm.weight", "blk.0.ffn_norm.weight", {kWidth}, &ones},
            {"model.norm.weight", "output_norm.weight", {kWidth}, &ones},
            {"lm_head.weight", "output.weight", {kVocabulary, kWidth}, &output_}};
  }

  std::vector<float> embedding_, output_;  // [vocabulary, width]
};

}  // namespace kinglet::testing_support
