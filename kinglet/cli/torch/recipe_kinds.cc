#include "kinglet/cli/torch/recipe_kinds.h"

#include "kinglet/io/recipe_table.h"
#include "kinglet/methods/excp/store_sink.h"
#include "kinglet/methods/memoryformer/recipe.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;

SinkFactory read_excp_sink(RecipeTable& checkpoints) {
  excp::Options options;
  options.lossless = checkpoints.boolean("lossless", false);
  if (const auto lambda = checkpoints.optional_number("lambda", at_least(0.0))) options.lambda = *lambda;
  options.fill_pruned_second = checkpoints.boolean("fill_pruned", true);
  options.key_every = static_cast<int>(checkpoints.integer("key_every", options.key_every, {1, 1'000'000}));
  const bool verify = checkpoints.boolean("verify", false);
  excp::validate(options);
  return [options, verify](const fs::path& run) {
    return std::make_unique<excp::StoreSink>(run / "checkpoints.store", options, verify);
  };
}

}  // namespace

RecipeKinds recipe_kinds() {
  RecipeKinds kinds = basic_kinds();
  kinds.sinks["excp"] = read_excp_sink;
  kinds.models["memoryformer"] = read_memoryformer;
  return kinds;
}

}  // namespace kinglet::cli
