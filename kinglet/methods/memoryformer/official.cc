#include "kinglet/methods/memoryformer/official.h"

#include <charconv>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/model_weights.h"
#include "kinglet/nn/tensor_io.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

// The NN of layer_NN-model_MM-model_states.pt, and MM.
struct ModuleName {
  int layer = 0, part = 0;
};
std::optional<ModuleName> parse_module_name(const std::string& name) {
  constexpr std::string_view kStart = "layer_", kMiddle = "-model_", kEnd = "-model_states.pt";
  if (!name.starts_with(kStart) || !name.ends_with(kEnd)) return std::nullopt;
  ModuleName found;
  const char* const end = name.data() + name.size();
  const auto layer = std::from_chars(name.data() + kStart.size(), end, found.layer);
  if (layer.ec != std::errc{} || !std::string_view(layer.ptr, end).starts_with(kMiddle)) return std::nullopt;
  const auto part = std::from_chars(layer.ptr + kMiddle.size(), end, found.part);
  if (part.ec != std::errc{} || std::string_view(part.ptr, end) != kEnd) return std::nullopt;
  return found;
}

class Official {
 public:
  explicit Official(const fs::path& folder) : folder_(folder) {
    std::map<int, fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const auto name = parse_module_name(entry.path().filename().string());
      if (!name) continue;
      if (name->part != 0) refuse(entry.path(), "the model is split over several devices", "merge it first");
      files[name->layer] = entry.path();
    }
    if (files.empty()) refuse(folder, "there is no layer_NN-model_00-model_states.pt", "name the folder of one step");
    for (const auto& [number, path] : files) {
      ModelWeights weights = ModelWeights::open(path);
      if (weights.find("attention.query_proj.tables") != nullptr) {
        blocks_.push_back(std::move(weights));
      } else {
        others_.push_back(std::move(weights));
      }
    }
    if (blocks_.empty()) refuse(folder, "no file holds attention.query_proj.tables", "is this a MemoryFormer?");
  }

  MemoryFormerConfig config(const OfficialSettings& settings) const {
    MemoryFormerConfig config;
    const TensorView& embedding = other("word_embeddings.weight");
    if (embedding.shape.size() != 2) refuse(folder_, "word_embeddings.weight is no matrix");
    config.vocabulary_size = embedding.shape[0];
    config.hidden_size = embedding.shape[1];
    config.num_layers = static_cast<std::int64_t>(blocks_.size());
    config.num_heads = settings.num_heads;
    config.max_positions = settings.max_positions;
    config.rotary_part = settings.rotary_part;
    config.weighting = settings.weighting;
    config.lowest_bit_first = false;
    const std::int64_t d = config.hidden_size, elements = in(blocks_[0], "attention.query_proj.tables").numel();
    const std::int64_t down = in(blocks_[0], "mlp.2.tables").numel();
    config.bits = bits_of(d, elements, 1);
    config.expanding_bits = 0;
    while (config.bits + config.expanding_bits < kMostMemoryBits && d > 0 && config.down_shape().rows() * d != down) {
      ++config.expanding_bits;
    }
    if (config.down_shape().rows() * d != down) refuse(folder_, "the shape of mlp.2.tables does not fit the others");
    return config;
  }

  void copy_into(Decoder& decoder) const {
    const at::NoGradGuard no_grad;
    auto parameters = decoder.named_parameters();
    const auto copy = [&](const TensorView& view, const std::string& name) {
      at::Tensor target = parameters[name];
      if (view.numel() != target.numel()) {
        refuse(folder_,
               fmt::format("tensor {}: {} elements for the {} of {}", view.name, view.numel(), target.numel(), name));
      }
      target.copy_(to_tensor(view).view(target.sizes()));
    };
    copy(other("word_embeddings.weight"), "embed_tokens");
    copy(other("norm.scale"), "final_norm.weight");
    copy(other("final_linear.weight"), "lm_head");
    static const std::pair<const char*, const char*> kNames[] = {{"input_layernorm.scale", "attention_norm.weight"},
                                                                 {"post_attention_layernorm.scale", "ffn_norm.weight"},
                                                                 {"attention.query_proj.tables", "attention.q.tables"},
                                                                 {"attention.query_proj.bias", "attention.q.bias"},
                                                                 {"attention.key_proj.tables", "attention.k.tables"},
                                                                 {"attention.key_proj.bias", "attention.k.bias"},
                                                                 {"attention.value_proj.tables", "attention.v.tables"},
                                                                 {"attention.value_proj.bias", "attention.v.bias"},
                                                                 {"mlp.0.tables", "ffn.up.tables"},
                                                                 {"mlp.0.bias", "ffn.up.bias"},
                                                                 {"mlp.1.weight", "ffn.norm.weight"},
                                                                 {"mlp.1.bias", "ffn.norm.bias"},
                                                                 {"mlp.2.tables", "ffn.down.tables"},
                                                                 {"mlp.2.bias", "ffn.down.bias"}};
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      for (const auto& [from, to] : kNames) copy(in(blocks_[i], from), fmt::format("layers.{}.{}", i, to));
    }
  }

 private:
  [[noreturn]] static void refuse(const fs::path& where, const std::string& problem, const std::string& remedy = {}) {
    throw bad_input(where.string(), problem, remedy);
  }
  static const TensorView& in(const ModelWeights& weights, const std::string& name) {
    const TensorView* const view = weights.find(name);
    if (view == nullptr) refuse(weights.where(), fmt::format("tensor {} is missing", name));
    return *view;
  }
  const TensorView& other(const std::string& name) const {
    for (const ModelWeights& weights : others_) {
      if (const TensorView* const view = weights.find(name)) return *view;
    }
    refuse(folder_, fmt::format("no file holds {}", name), "a module of the pipeline may be missing");
  }
  // The bits with which tables of `elements` turn d numbers into d.
  int bits_of(std::int64_t d, std::int64_t elements, int least) const {
    for (int bits = least; d > 0 && bits <= kMostMemoryBits; ++bits) {
      if (d % bits == 0 && (d / bits << bits) * d == elements) return bits;
    }
    refuse(folder_, fmt::format("{} elements are no tables of width {}", elements, d));
  }

  fs::path folder_;
  std::vector<ModelWeights> blocks_, others_;
};

}  // namespace

std::shared_ptr<Decoder> load_official_memoryformer(const fs::path& folder, const OfficialSettings& settings) {
  const Official official(folder);
  auto decoder = make_memoryformer(official.config(settings));
  official.copy_into(*decoder);
  decoder->parts()->finish_loading(*decoder);
  decoder->eval();
  return decoder;
}

}  // namespace kinglet
