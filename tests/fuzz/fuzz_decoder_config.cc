// config.json of a decoder: only Error refuses it, what is accepted makes a model of sensible size, and what is written
// from it is read back the same.
#include "tests/fuzz/fuzz_target.h"

#include "kinglet/models/decoder/config.h"

namespace kinglet::fuzz {
namespace {

void check_decoder_config(ByteView input) {
  DecoderConfig config;
  if (!accepted([&] { config = parse_decoder_config(as_text(input), "input"); })) return;
  require(config.num_heads >= 1 && config.num_heads % config.num_kv_heads == 0, "heads fit together");
  require(config.windowed.size() == static_cast<std::size_t>(config.num_layers), "every layer has its kind");
  require(config.rotary.rotary_dim <= config.head_dim && config.rotary.rotary_dim % 2 == 0, "rotary fits the heads");
  const std::string written = to_config_json(config);
  DecoderConfig again;
  require(accepted([&] { again = parse_decoder_config(written, "written"); }), "what is written is accepted");
  require(to_config_json(again) == written, "writing twice gives the same text");
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(decoder_config, kinglet::fuzz::check_decoder_config)
