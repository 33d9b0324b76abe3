// The cost counter against the figures of the paper.
#include "kinglet/methods/memoryformer/cost.h"

#include <gtest/gtest.h>

namespace kinglet {
namespace {

MemoryFormerConfig of_size(std::int64_t d, std::int64_t layers, std::int64_t heads) {
  MemoryFormerConfig config;
  config.vocabulary_size = 50304;
  config.hidden_size = d;
  config.num_layers = layers;
  config.num_heads = heads;
  config.dtype = "float16";
  return config;
}

TEST(ModelCost, FiguresOfThePaper) {
  struct Expected {
    MemoryFormerConfig config;
    double block, attention, dense_block;  // G multiply-adds at 2048 tokens; Pythia's: attention included
    double table_bytes, dense_parameters;
  };
  for (const Expected& expected : {Expected{of_size(512, 6, 8), 0.357826560, 4.294967296, 10.7, 0.83e9, 18.9e6},
                                   Expected{of_size(768, 12, 12), 0.800980992, 6.442450944, 20.9, 3.74e9, 84.9e6},
                                   Expected{of_size(1024, 24, 16), 1.420296192, 8.589934592, 34.4, 13.3e9, 302e6}}) {
    const ModelCost cost = memoryformer_cost(expected.config, 2048);
    EXPECT_DOUBLE_EQ(cost.block, expected.block * 1e9);
    EXPECT_DOUBLE_EQ(cost.attention, expected.attention * 1e9);
    EXPECT_NEAR(static_cast<double>(cost.table_elements) * cost.element_bytes, expected.table_bytes,
                0.005 * expected.table_bytes);
    DecoderConfig twin = decoder_config(expected.config);
    twin.intermediate_size = 4 * twin.hidden_size;
    const ModelCost dense = decoder_cost(twin, 2048);
    EXPECT_NEAR((dense.block + dense.attention) * 1e-9, expected.dense_block, 0.06);
    EXPECT_NEAR(dense.elements_a_token, expected.dense_parameters, 0.005 * expected.dense_parameters);
  }
}

TEST(ModelCost, BytesOfATokenAreAnEighth) {
  // A square layer reads K h elements, d h / 8.
  const MemoryFormerConfig config = of_size(512, 1, 8);
  const ModelCost cost = memoryformer_cost(config, 1);
  EXPECT_DOUBLE_EQ(cost.elements_a_token, 64.0 * (4 * 512 + 640));
  EXPECT_DOUBLE_EQ(cost.head_elements, 512.0 * 50304);
}

TEST(ModelCost, TheClaimAtWidth2048) {
  // (2 s^2 d + 6 K s d) / (2 s^2 d + 12 s d^2) at s = d = 2048 is 0.196; the exact sum is a little less.
  const MemoryFormerConfig config = of_size(2048, 1, 16);
  DecoderConfig twin = decoder_config(config);
  twin.intermediate_size = 4 * twin.hidden_size;
  const ModelCost memory = memoryformer_cost(config, 2048), dense = decoder_cost(twin, 2048);
  EXPECT_NEAR((memory.block + memory.attention) / (dense.block + dense.attention), 0.196, 0.01);
}

}  // namespace
}  // namespace kinglet
