// config.json of a MemoryFormer: only Error refuses it, what is accepted makes tables of sensible size, and what is
// written from it is read back the same.
#include "tests/fuzz/fuzz_target.h"

#include "kinglet/base/log.h"
#include "kinglet/methods/memoryformer/cost.h"

namespace kinglet::fuzz {
namespace {

void check_memoryformer_config(ByteView input) {
  set_log_level(LogLevel::kError);
  MemoryFormerConfig config;
  if (!accepted([&] { config = parse_memoryformer_config(as_text(input), "input"); })) return;
  require(config.hidden_size % config.bits == 0 && config.bits + config.expanding_bits <= kMostMemoryBits,
          "tables fit the model");
  require(table_elements(config) > 0 && parameter_count(config) > table_elements(config), "sizes fit their type");
  require(memoryformer_cost(config, 1).total() > 0, "it has a cost");
  const std::string written = to_config_json(config);
  MemoryFormerConfig again;
  require(accepted([&] { again = parse_memoryformer_config(written, "written"); }), "what is written is accepted");
  require(to_config_json(again) == written, "writing twice gives the same text");
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(memoryformer_config, kinglet::fuzz::check_memoryformer_config)
