// A MemoryFormer from the table [model] of a recipe.
#include "kinglet/io/recipe_table.h"
#include "kinglet/methods/memoryformer/memoryformer.h"

namespace kinglet {
namespace {

// The paper's table of sizes; the twins of Pythia 70M, 160M and 410M.
struct Preset {
  const char* name;
  std::int64_t hidden_size, layers, heads;
};
constexpr Preset kPresets[] = {{"tiny", 512, 6, 8}, {"small", 768, 12, 12}, {"base", 1024, 24, 16}};

}  // namespace

std::shared_ptr<Decoder> memoryformer_from_recipe(RecipeTable& model, std::int64_t vocabulary_size) {
  MemoryFormerConfig config;
  config.vocabulary_size = vocabulary_size;
  const std::string preset = model.choice("preset", "custom", {"custom", "tiny", "small", "base"});
  const IntegerRange positive{1, 1 << 20};
  if (preset == "custom") {
    config.hidden_size = model.need_integer("hidden_size", positive);
    config.num_layers = model.need_integer("layers", {1, 4096});
    config.num_heads = model.need_integer("heads", positive);
  } else {
    for (const Preset& known : kPresets) {
      if (preset != known.name) continue;
      config.hidden_size = model.integer("hidden_size", known.hidden_size, positive);
      config.num_layers = model.integer("layers", known.layers, {1, 4096});
      config.num_heads = model.integer("heads", known.heads, positive);
    }
  }
  config.bits = static_cast<int>(model.integer("bits", 8, {1, kMostMemoryBits}));
  config.expanding_bits = static_cast<int>(model.integer("expanding_bits", 2, {0, kMostMemoryBits}));
  config.weighting.score = parse_memory_score(model.choice("score", "sum_prob", memory_score_names()), "score");
  config.weighting.temperature = model.number("temperature", 1.0, above(0.0));
  config.outer_norm = parse_outer_norm(model.choice("norm_outer", "rmsnorm", outer_norm_names()), "norm_outer");
  config.rotary_part = model.number("rotary_part", 0.25, between(0.0, 1.0));
  config.max_positions = model.integer("max_positions", 2048, {1, std::int64_t{1} << 30});
  const double most_gb = model.number("max_table_gb", 0.0, at_least(0.0));
  check_memoryformer(config, model.path().empty() ? "model" : model.path());
  return make_memoryformer(config, most_gb);
}

}  // namespace kinglet
