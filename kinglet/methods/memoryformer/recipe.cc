#include "kinglet/methods/memoryformer/recipe.h"

#include <vector>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/recipe_table.h"
#include "kinglet/methods/memoryformer/from_dense.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/models/decoder/decoder_parts.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

// The paper's sizes; the twins of Pythia 70M, 160M and 410M.
struct Preset {
  const char* name;
  std::int64_t hidden_size, num_layers, num_heads;
};
constexpr Preset kPresets[] = {{"tiny", 512, 6, 8}, {"small", 768, 12, 12}, {"base", 1024, 24, 16}};

void check_vocabulary(std::int64_t model, std::int64_t tokenizer, const std::string& where) {
  if (tokenizer <= model) return;
  throw bad_input(where,
                  fmt::format("the tokenizer has {} tokens, but the model's embedding only {}", tokenizer, model),
                  "take the tokenizer that the model was made with");
}

ModelFactory trained_on(RecipeTable& model, const MemoryFormerOptions& options) {
  const std::filesystem::path folder = model.need_path("from");
  return [folder, options](const ModelPurpose& purpose) {
    const MemoryFormerConfig config = read_memoryformer_config(folder);
    check_trainable(config, folder.string());
    check_vocabulary(config.vocabulary_size, purpose.vocabulary_size, folder.string());
    auto decoder = make_memoryformer(config, options);
    load_decoder_weights(ModelWeights::open(folder), *decoder, WeightType::kFloat32);
    decoder->parts()->finish_loading(*decoder);
    return decoder;
  };
}

void read_bits(RecipeTable& model, MemoryFormerConfig& config) {
  config.bits = static_cast<int>(model.integer("bits", 8, {1, kMostMemoryBits}));
  config.expanding_bits = static_cast<int>(model.integer("expanding_bits", 2, {0, kMostMemoryBits}));
}

// The shape of a MemoryFormer that begins with the weights of this GPT-NeoX (from_dense.h).
MemoryFormerConfig config_of_dense(RecipeTable& model, const std::filesystem::path& folder) {
  const DecoderConfig dense = read_any_decoder_config(folder);
  MemoryFormerConfig config;
  read_bits(model, config);
  config.vocabulary_size = dense.vocabulary_size;
  config.hidden_size = dense.hidden_size;
  config.num_layers = dense.num_layers;
  config.num_heads = dense.num_heads;
  config.max_positions = dense.max_positions;
  config.rotary_part = static_cast<double>(dense.rotary.rotary_dim) / static_cast<double>(dense.head_dim);
  config.rotary_theta = dense.rotary.theta;
  config.weighting.score = MemoryScore::kNone;
  config.outer_norm = OuterNorm::kLayer;
  check_memoryformer(config, model.place("from_dense"));
  return config;
}

ModelFactory begun_with_dense(RecipeTable& model, const MemoryFormerOptions& options) {
  const std::filesystem::path folder = model.need_path("from_dense");
  const MemoryFormerConfig config = config_of_dense(model, folder);
  return [folder, config, options](const ModelPurpose& purpose) {
    check_vocabulary(config.vocabulary_size, purpose.vocabulary_size, folder.string());
    if (!purpose.sample) {
      throw bad_input("model.from_dense", "needs a text whose activations it can measure", "use it in kinglet train");
    }
    constexpr std::int64_t kBatches = 4;
    std::vector<at::Tensor> tokens;
    for (std::int64_t batch = 0; batch < kBatches; ++batch) tokens.push_back(purpose.sample(batch));
    MemoryFormerConfig full = config;
    full.bos = purpose.bos;
    full.eos = purpose.eos;
    auto decoder = make_memoryformer(full, options);
    decoder->initialize(purpose.seed);
    initialize_from_neox(*decoder, *load_decoder(folder), at::cat(tokens));
    return decoder;
  };
}

void read_shape(RecipeTable& model, MemoryFormerConfig& config) {
  const std::string preset = model.choice("preset", "custom", {"custom", "tiny", "small", "base"});
  const IntegerRange positive{1, 1 << 20}, layers{1, 4096};
  if (preset == "custom") {
    config.hidden_size = model.need_integer("hidden_size", positive);
    config.num_layers = model.need_integer("num_layers", layers);
    config.num_heads = model.need_integer("num_heads", positive);
  }
  for (const Preset& known : kPresets) {
    if (preset != known.name) continue;
    config.hidden_size = model.integer("hidden_size", known.hidden_size, positive);
    config.num_layers = model.integer("num_layers", known.num_layers, layers);
    config.num_heads = model.integer("num_heads", known.num_heads, positive);
  }
  config.vocabulary_size = model.integer("vocabulary_size", 0, {0, 1 << 24});
  config.max_positions = model.integer("max_positions", 0, {0, std::int64_t{1} << 30});
}

}  // namespace

ModelFactory read_memoryformer(RecipeTable& model) {
  MemoryFormerOptions options;
  options.most_table_gb = model.number("max_table_gb", 0.0, at_least(0.0));
  options.row_sparse = model.boolean("row_sparse", false);
  if (model.has("from") && model.has("from_dense")) {
    throw model.refuse("from_dense", "stands beside 'from'", "leave out one of them");
  }
  if (model.has("from")) return trained_on(model, options);
  if (model.has("from_dense")) return begun_with_dense(model, options);
  MemoryFormerConfig config;
  read_shape(model, config);
  const std::string where = model.place("hidden_size");
  read_bits(model, config);
  config.weighting.score = parse_memory_score(model.choice("score", "sum_prob", memory_score_names()), where);
  config.weighting.temperature = model.number("temperature", 1.0, above(0.0));
  config.outer_norm = parse_outer_norm(model.choice("norm_outer", "rmsnorm", outer_norm_names()), where);
  config.rotary_part = model.number("rotary_part", 0.25, between(0.0, 1.0));
  config.rotary_theta = model.number("rope_theta", 10000.0, above(0.0));
  // Numbers that do not fit should not wait for the tokenizer to be refused.
  MemoryFormerConfig trial = config;
  if (trial.vocabulary_size == 0) trial.vocabulary_size = 1;
  if (trial.max_positions == 0) trial.max_positions = 1;
  check_memoryformer(trial, where);
  return [config, options, where](const ModelPurpose& purpose) {
    MemoryFormerConfig full = config;
    if (full.vocabulary_size == 0) full.vocabulary_size = purpose.vocabulary_size;
    if (full.max_positions == 0) full.max_positions = purpose.tokens;
    check_vocabulary(full.vocabulary_size, purpose.vocabulary_size, where);
    full.bos = purpose.bos;
    full.eos = purpose.eos;
    auto decoder = make_memoryformer(full, options);
    decoder->initialize(purpose.seed);
    return decoder;
  };
}

}  // namespace kinglet
