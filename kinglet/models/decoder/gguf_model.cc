#include "kinglet/models/decoder/gguf_model.h"

#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/gguf_dequantize.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

Family family_of(const Gguf& file, const std::string& architecture) {
  static const std::map<std::string, Family> known = {
      {"llama", Family::kLlama}, {"qwen2", Family::kQwen2}, {"qwen3", Family::kQwen3}, {"gemma3", Family::kGemma3}};
  const auto found = known.find(architecture);
  if (found == known.end()) {
    throw bad_input(file.where(), fmt::format("architecture '{}' is not supported", architecture),
                    "supported are llama, qwen2, qwen3 and gemma3");
  }
  return found->second;
}

void read_rotary(const Gguf& file, const std::string& prefix, DecoderConfig& config) {
  config.rotary.rotary_dim = file.optional_integer(prefix + "rope.dimension_count").value_or(config.head_dim);
  config.rotary.theta = file.optional_number(prefix + "rope.freq_base").value_or(10000.0);
  const std::string kind(file.optional_text(prefix + "rope.scaling.type").value_or("none"));
  if (kind == "linear") {
    config.rotary.scaling.kind = nn::RotaryScaling::Kind::kLinear;
    config.rotary.scaling.factor = file.number(prefix + "rope.scaling.factor");
  } else if (kind != "none") {
    throw bad_input(file.where(), fmt::format("rope scaling '{}' is not supported", kind), "supported is linear");
  }
  // Llama 3.1 files hold the stretched frequencies as one divisor each.
  if (const GgufTensor* divisors = file.find_tensor("rope_freqs.weight")) {
    for (const float divisor : dequantize(*divisors)) config.rotary.divisors.push_back(static_cast<double>(divisor));
  }
  config.local_rotary = config.rotary;
}

// What llama.cpp knows of the architecture without reading it from the file.
void add_gemma3_facts(const Gguf& file, const std::string& prefix, DecoderConfig& config) {
  config.norm_offset = 1.0;
  config.post_norms = true;
  config.activation = nn::Activation::kGeluTanh;
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  config.window = file.optional_integer(prefix + "attention.sliding_window").value_or(0);
  for (std::size_t i = 0; i < config.windowed.size(); ++i) config.windowed[i] = config.window > 0 && i % 6 != 5;
  config.local_rotary.theta = 10000.0;
  config.local_rotary.scaling = {};
}

// The parameter of a tensor's name without "blk.N.": {name in the file, name in the decoder}.
const std::map<std::string, std::string>& layer_names(bool post_norms) {
  static const std::map<std::string, std::string> plain = {{"attn_q", "attention.q"},
                                                           {"attn_k", "attention.k"},
                                                           {"attn_v", "attention.v"},
                                                           {"attn_output", "attention.o"},
                                                           {"attn_q_norm", "attention.q_norm"},
                                                           {"attn_k_norm", "attention.k_norm"},
                                                           {"attn_norm", "attention_norm"},
                                                           {"ffn_norm", "ffn_norm"},
                                                           {"ffn_gate", "ffn.gate"},
                                                           {"ffn_up", "ffn.up"},
                                                           {"ffn_down", "ffn.down"}};
  static const std::map<std::string, std::string> with_post_norms = [] {
    auto names = plain;
    names.emplace("post_attention_norm", "attention_post_norm");
    names.emplace("post_ffw_norm", "ffn_post_norm");
    return names;
  }();
  return post_norms ? with_post_norms : plain;
}

// Empty when the model has no place for the tensor.
std::string parameter_name(const std::string& name, const DecoderConfig& config) {
  if (name == "token_embd.weight") return "embed_tokens";
  if (name == "output.weight") return "lm_head";
  if (name == "output_norm.weight") return "final_norm.weight";
  const std::size_t number = name.find('.'), part = name.find('.', number + 1), kind = name.rfind('.');
  if (!name.starts_with("blk.") || part == std::string::npos || kind <= part) return {};
  const auto& names = layer_names(config.post_norms);
  const auto found = names.find(name.substr(part + 1, kind - part - 1));
  if (found == names.end()) return {};
  return fmt::format("layers.{}.{}{}", name.substr(number + 1, part - number - 1), found->second, name.substr(kind));
}

// llama.cpp turns neighbours (2i, 2i + 1), the decoder (i, i + half): the rows of query and key change places.
at::Tensor without_interleaving(const at::Tensor& weight, std::int64_t heads) {
  auto split = weight.sizes().vec();
  split[0] = heads;
  split.insert(split.begin() + 1, {weight.size(0) / heads / 2, 2});
  return weight.reshape(split).transpose(1, 2).reshape(weight.sizes());
}

class Loader {
 public:
  Loader(const Gguf& file, Decoder& decoder, WeightType type) : file_(file), decoder_(decoder), type_(type) {
    for (const auto& item : decoder.named_parameters()) parameters_.emplace(item.key(), item.value());
  }

  void run() {
    for (const GgufTensor& tensor : file_.tensors()) {
      if (tensor.name == "rope_freqs.weight") continue;
      const std::string name = parameter_name(tensor.name, decoder_.config());
      const auto found = parameters_.find(name);
      if (found == parameters_.end()) {
        throw bad_input(file_.where(), fmt::format("the model has no place for tensor {}", tensor.name));
      }
      assign(tensor, name, found->second);
      parameters_.erase(found);
    }
    if (!parameters_.empty()) {
      throw bad_input(file_.where(), fmt::format("no tensor for {}", parameters_.begin()->first),
                      "fetch the file again");
    }
  }

 private:
  void assign(const GgufTensor& tensor, const std::string& name, at::Tensor& target) {
    if (target.sizes() != at::IntArrayRef(tensor.shape)) {
      throw bad_input(file_.where(), fmt::format("tensor {} has shape [{}], the model's is [{}]", tensor.name,
                                                 fmt::join(tensor.shape, ", "), fmt::join(target.sizes().vec(), ", ")));
    }
    std::vector<float> values = dequantize(tensor);
    at::Tensor value = at::from_blob(values.data(), tensor.shape, at::kFloat);
    const DecoderConfig& config = decoder_.config();
    if (name.find("norm") != std::string::npos && config.norm_offset != 0.0) value = value - config.norm_offset;
    if (config.family == Family::kLlama && name.find("attention.q.") != std::string::npos) {
      value = without_interleaving(value, config.num_heads);
    }
    if (config.family == Family::kLlama && name.find("attention.k.") != std::string::npos) {
      value = without_interleaving(value, config.num_kv_heads);
    }
    if (type_ == WeightType::kBFloat16 && target.dim() == 2) target.set_data(at::empty(target.sizes(), at::kBFloat16));
    target.copy_(value);
  }

  const Gguf& file_;
  Decoder& decoder_;
  WeightType type_;
  std::map<std::string, at::Tensor> parameters_;
};

}  // namespace

DecoderConfig gguf_decoder_config(const Gguf& file) {
  const std::string architecture(file.text("general.architecture"));
  const std::string prefix = architecture + ".";
  DecoderConfig config;
  config.family = family_of(file, architecture);
  const GgufTensor& embedding = file.tensor("token_embd.weight");
  if (embedding.shape.size() != 2) throw bad_input(file.where(), "token_embd.weight must have two dimensions");
  config.vocabulary_size = embedding.shape[0];
  config.hidden_size = file.integer(prefix + "embedding_length");
  config.num_layers = file.integer(prefix + "block_count");
  config.num_heads = file.integer(prefix + "attention.head_count");
  config.num_kv_heads = file.optional_integer(prefix + "attention.head_count_kv").value_or(config.num_heads);
  config.intermediate_size = file.integer(prefix + "feed_forward_length");
  config.max_positions = file.integer(prefix + "context_length");
  config.norm_eps = file.number(prefix + "attention.layer_norm_rms_epsilon");
  if (config.num_heads < 1 || config.num_layers < 1 || config.num_layers > 4096) {
    throw bad_input(file.where(), "block_count or attention.head_count is out of range");
  }
  config.head_dim =
      file.optional_integer(prefix + "attention.key_length").value_or(config.hidden_size / config.num_heads);
  config.attention_scale = 1.0 / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, config.head_dim)));
  config.windowed.assign(static_cast<std::size_t>(config.num_layers), false);
  config.tied_embeddings = file.find_tensor("output.weight") == nullptr;
  config.qkv_bias = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  config.output_bias = file.find_tensor("blk.0.attn_output.bias") != nullptr;
  config.qk_norm = file.find_tensor("blk.0.attn_q_norm.weight") != nullptr;
  read_rotary(file, prefix, config);
  if (config.family == Family::kGemma3) add_gemma3_facts(file, prefix, config);
  for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"}) {
    const auto id = file.optional_integer(key);
    if (id) (std::string_view(key).find("bos") != std::string_view::npos ? config.bos : config.eos).push_back(*id);
  }
  check_decoder_config(config, file.where());
  return config;
}

std::shared_ptr<Decoder> load_gguf_decoder(const std::filesystem::path& path, WeightType type) {
  const at::NoGradGuard no_grad;
  const GgufFile file(path);
  auto decoder = std::make_shared<Decoder>(gguf_decoder_config(file.content()));
  Loader(file.content(), *decoder, type).run();
  if (type == WeightType::kInt8) decoder->round_to_int8();
  decoder->eval();
  return decoder;
}

}  // namespace kinglet
