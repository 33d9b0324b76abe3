// Tables from dense layers.
#include "kinglet/methods/memoryformer/from_dense.h"

#include <numbers>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

#include "kinglet/methods/memoryformer/memory_operators.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::refusal;

TEST(TablesFromDense, ExplainTwoOverPiOfTheVariance) {
  torch::manual_seed(1);
  for (const int bits : {1, 4, 8}) {
    const at::Tensor weight = torch::randn({12, 48}), seen = torch::randn({100'000, 48}), x = torch::randn({4000, 48});
    const at::Tensor tables = tables_from_dense(weight, seen, bits);
    const MemoryCodes codes = memory_codes(x, 48 / bits, bits, {MemoryScore::kNone, 1.0}, "x");
    const at::Tensor y = at::mm(x, weight.t()), got = memory_lookup(codes, tables, {}, bits, false);
    const double rest = ((y - got).square().sum() / y.square().sum()).item<double>();
    EXPECT_NEAR(1.0 - rest, 2.0 / std::numbers::pi, 0.01) << bits;
  }
}

DecoderConfig neox_config() {
  return parse_decoder_config(R"({"model_type": "gpt_neox", "vocab_size": 40, "hidden_size": 32,
    "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64})",
                              "config.json");
}

MemoryFormerConfig twin_config() {
  MemoryFormerConfig config;
  config.vocabulary_size = 40;
  config.hidden_size = 32;
  config.num_layers = 2;
  config.num_heads = 2;
  config.max_positions = 64;
  config.bits = 4;
  config.weighting.score = MemoryScore::kNone;
  config.outer_norm = OuterNorm::kLayer;
  return config;
}

TEST(TablesFromDense, OfANeoX) {
  Decoder neox(neox_config());
  neox.initialize(1);
  const auto memory = make_memoryformer(twin_config());
  memory->initialize(2);
  initialize_from_neox(*memory, neox, at::arange(0, 40, at::kLong).unsqueeze(0));
  EXPECT_TRUE(memory->named_parameters()["embed_tokens"].equal(neox.named_parameters()["embed_tokens"]));
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(
      memory->forward({at::arange(0, 40, at::kLong).unsqueeze(0), {}, {}, nullptr}).isfinite().all().item<bool>());

  MemoryFormerConfig other = twin_config();
  other.num_layers = 3;
  const auto deeper = make_memoryformer(other);
  EXPECT_THAT(refusal([&] {
                initialize_from_neox(*deeper, neox, at::zeros({1, 4}, at::kLong));
              }),
              HasSubstr("layers 3 and 2"));
  other = twin_config();
  other.weighting.score = MemoryScore::kProb;
  const auto weighted = make_memoryformer(other);
  EXPECT_THAT(refusal([&] {
                initialize_from_neox(*weighted, neox, at::zeros({1, 4}, at::kLong));
              }),
              HasSubstr("'none'"));
}

}  // namespace
}  // namespace kinglet
