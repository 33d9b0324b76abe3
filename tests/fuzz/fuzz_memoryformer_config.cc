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
  const ModelCost cost = memoryformer_cost(config, 1);
  require(cost.total() > 0, "it has a cost");
  require(cost.table_bytes >= static_cast<double>(cost.table_elements) && cost.bytes > cost.table_bytes,
          "tables are a part of the bytes");
  require(!config.int8_tables || !accepted([&] { check_trainable(config, "input"); }), "int8 tables are not trained");
  const std::string written = to_config_json(config);
  MemoryFormerConfig again;
  require(accepted([&] { again = parse_memoryformer_config(written, "written"); }), "what is written is accepted");
  require(again.int8_tables == config.int8_tables, "the type of the tables stays");
  require(to_config_json(again) == written, "writing twice gives the same text");
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(memoryformer_config, kinglet::fuzz::check_memoryformer_config)
