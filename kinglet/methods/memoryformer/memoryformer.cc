#include "kinglet/methods/memoryformer/memoryformer.h"

#include <cmath>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/memory.h"
#include "kinglet/methods/memoryformer/memory_projection.h"
#include "kinglet/methods/memoryformer/table_health.h"
#include "kinglet/models/decoder/decoder_parts.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

class NoNorm : public nn::Norm {
 public:
  at::Tensor forward(const at::Tensor& x) override { return x; }
};

// The names of a norm's parameters in the file.
void add_norm(std::vector<WeightEntry>& entries, const std::string& name, const std::string& parameter,
              OuterNorm kind) {
  if (kind == OuterNorm::kNone) return;
  const char* const factor = kind == OuterNorm::kRms ? ".scale" : ".weight";
  entries.push_back({name + factor, WeightLayout::kPlain, {parameter + ".weight"}});
  if (kind == OuterNorm::kLayer) entries.push_back({name + ".bias", WeightLayout::kPlain, {parameter + ".bias"}});
}

void add_pair(std::vector<WeightEntry>& entries, const std::string& name, const std::string& parameter,
              const char* first) {
  for (const std::string part : {first, "bias"}) {
    entries.push_back({name + "." + part, WeightLayout::kPlain, {parameter + "." + part}});
  }
}

class MemoryFormerParts : public DecoderParts {
 public:
  MemoryFormerParts(const MemoryFormerConfig& config, const MemoryFormerOptions& options)
      : config_(config), options_(options) {}
  const MemoryFormerConfig& config() const { return config_; }

  std::shared_ptr<nn::Attention> make_attention(const DecoderConfig& decoder, std::int64_t layer) const override {
    nn::SelfAttentionSettings settings;
    settings.heads = settings.kv_heads = decoder.num_heads;
    settings.head_dim = decoder.head_dim;
    settings.scale = decoder.attention_scale;
    return std::make_shared<MemoryAttention>(settings, config_.attention_shape(), config_.weighting,
                                             fmt::format("layers.{}.attention", layer), for_training());
  }
  std::shared_ptr<nn::Ffn> make_ffn(const DecoderConfig& /*decoder*/, std::int64_t layer) const override {
    return std::make_shared<MemoryFfn>(config_.up_shape(), config_.down_shape(), config_.weighting,
                                       fmt::format("layers.{}.ffn", layer), for_training());
  }
  std::shared_ptr<nn::Norm> make_norm(const DecoderConfig& /*decoder*/, NormPlace place) const override {
    if (config_.outer_norm != OuterNorm::kNone || place == NormPlace::kFinal) return nullptr;
    return std::make_shared<NoNorm>();
  }

  // As the authors' code: attention tables, embeddings and head with variance 2 / (5 d), feed-forward tables with
  // deviation 0.02, biases with 0.001.
  void initialize(Decoder& decoder, std::uint64_t seed) const override {
    at::Generator generator = at::detail::createCPUGenerator(seed);
    const double small = std::sqrt(2.0 / (5.0 * static_cast<double>(config_.hidden_size)));
    for (const auto& item : decoder.named_parameters()) {
      at::Tensor value = item.value();
      const std::string& name = item.key();
      if (name.find("norm") != std::string::npos) {
        value.fill_(name.ends_with("weight") ? 1.0 : 0.0);
      } else if (name.ends_with(".bias")) {
        value.normal_(0.0, 0.001, generator);
      } else {
        value.normal_(0.0, name.find(".ffn.") != std::string::npos ? 0.02 : small, generator);
      }
    }
  }

  std::string model_type() const override { return "memoryformer"; }
  std::string config_json(const DecoderConfig& decoder) const override {
    MemoryFormerConfig written = config_;
    written.lowest_bit_first = true;  // as the tables are in memory
    written.dtype = decoder.dtype;
    return to_config_json(written);
  }
  std::vector<WeightEntry> weight_entries(const DecoderConfig& decoder) const override {
    std::vector<WeightEntry> entries = {{"embed_in.weight", WeightLayout::kPlain, {"embed_tokens"}}};
    for (std::int64_t i = 0; i < decoder.num_layers; ++i) {
      const std::string from = fmt::format("blocks.{}.", i), to = fmt::format("layers.{}.", i);
      add_norm(entries, from + "input_layernorm", to + "attention_norm", config_.outer_norm);
      for (const std::string part : {"q", "k", "v"}) {
        add_pair(entries, from + "attn." + part, to + "attention." + part, "tables");
      }
      add_norm(entries, from + "post_attention_layernorm", to + "ffn_norm", config_.outer_norm);
      add_pair(entries, from + "mlp.0", to + "ffn.up", "tables");
      add_pair(entries, from + "mlp.1", to + "ffn.norm", "weight");
      add_pair(entries, from + "mlp.2", to + "ffn.down", "tables");
    }
    const bool layer_norm = config_.outer_norm == OuterNorm::kLayer;
    add_norm(entries, "final_norm", "final_norm", layer_norm ? OuterNorm::kLayer : OuterNorm::kRms);
    entries.push_back({"embed_out.weight", WeightLayout::kPlain, {"lm_head"}});
    return entries;
  }

  std::set<std::string> take_weights(const std::shared_ptr<const ModelWeights>& weights, WeightType type,
                                     Decoder& decoder) const override {
    if (!for_training()) return load_tables(weights, config_, type, options_.use, decoder);
    check_table_types(*weights, config_, decoder);
    return {};
  }

  void finish_loading(Decoder& decoder) const override {
    if (config_.lowest_bit_first || !for_training()) return;  // load_tables() has turned them
    const at::NoGradGuard no_grad;
    for (const auto& projection : memory_projections(decoder)) {
      const at::Tensor& tables = projection->tables;
      reverse_table_bits(projection->shape().tables, projection->shape().bits,
                         static_cast<std::size_t>(tables.size(1)) * tables.element_size(), tables.data_ptr());
    }
  }

  bool is_row_sparse(const std::string& parameter) const override {
    return options_.row_sparse && parameter.ends_with(".tables");
  }
  std::vector<std::pair<std::string, double>> measure(const Decoder& decoder,
                                                      const std::function<void()>& run) const override {
    return summary_of(table_health(decoder, run));
  }

 private:
  bool for_training() const { return options_.purpose == LoadPurpose::kTraining; }

  MemoryFormerConfig config_;
  MemoryFormerOptions options_;
};

}  // namespace

std::shared_ptr<Decoder> make_memoryformer(const MemoryFormerConfig& config, const MemoryFormerOptions& options) {
  check_memoryformer(config, "memoryformer");
  if (options.purpose == LoadPurpose::kTraining) {
    check_trainable(config, "memoryformer");
    const double most = 1e-9 * static_cast<double>(machine_memory());
    check_table_memory(config, 4.0, options.most_table_gb > 0 ? options.most_table_gb : most, "memoryformer");
  }
  auto parts = std::make_shared<const MemoryFormerParts>(config, options);
  auto decoder = std::make_shared<Decoder>(decoder_config(config), std::move(parts));
  for (const auto& projection : memory_projections(*decoder)) projection->set_sparse_gradient(options.row_sparse);
  return decoder;
}

const MemoryFormerConfig* memoryformer_config_of(const Decoder& decoder) {
  const auto* const parts = dynamic_cast<const MemoryFormerParts*>(decoder.parts());
  return parts == nullptr ? nullptr : &parts->config();
}

void register_memoryformer(const TableUse& use) {
  using std::filesystem::path;
  register_decoder_type("memoryformer",
                        {[](const path& folder) { return decoder_config(read_memoryformer_config(folder)); },
                         [use](const path& folder, LoadPurpose purpose) {
                           const MemoryFormerConfig config = read_memoryformer_config(folder);
                           if (purpose == LoadPurpose::kTraining) check_trainable(config, folder.string());
                           return make_memoryformer(config, {0.0, false, purpose, use});
                         }});
}

}  // namespace kinglet
