// MemoryFormers in recipes: models that begin with a dense one.
#include "kinglet/methods/memoryformer/recipe.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/methods/memoryformer/memory_projection.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::refusal;
using testing_support::TemporaryFolder;

class BegunWithDense : public testing::Test {
 protected:
  void SetUp() override {
    dense_ = std::make_shared<Decoder>(parse_decoder_config(
        R"({"model_type": "gpt_neox", "vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64})",
        "config.json"));
    dense_->initialize(1);
    std::filesystem::create_directories(folder_ / "dense");
    save_decoder(folder_ / "dense", *dense_);
    purpose_.vocabulary_size = 40;
    purpose_.tokens = 16;
    purpose_.sample = [](std::int64_t batch) {
      return at::arange(0, 32, at::kLong).add(batch).remainder(40).view({2, 16});
    };
  }
  ModelFactory factory(const std::string& keys) const {
    std::ofstream(folder_ / "r.toml") << "[model]\nkind = \"memoryformer\"\n" << keys;
    RecipeReader reader(Recipe::load(folder_ / "r.toml"));
    RecipeTable model = reader.root().table("model");
    model.choice("kind", "decoder", {"decoder", "memoryformer"});
    ModelFactory made = read_memoryformer(model);
    reader.finish();
    return made;
  }

  const TemporaryFolder folder_;
  std::shared_ptr<Decoder> dense_;
  ModelPurpose purpose_;
};

TEST_F(BegunWithDense, HasItsShapeAndWeights) {
  const auto made = factory("from_dense = \"dense\"\nbits = 4\n")(purpose_);
  const MemoryFormerConfig* const config = memoryformer_config_of(*made);
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->bits, 4);
  EXPECT_EQ(config->num_layers, 2);
  EXPECT_EQ(config->weighting.score, MemoryScore::kNone);
  EXPECT_TRUE(made->named_parameters()["embed_tokens"].equal(dense_->named_parameters()["embed_tokens"]));
  // The tables of the query are those of the means, not random ones.
  ModelPurpose other = purpose_;
  other.seed = 99;
  const auto again = factory("from_dense = \"dense\"\nbits = 4\n")(other);
  EXPECT_TRUE(made->named_parameters()["layers.0.attention.q.tables"].equal(
      again->named_parameters()["layers.0.attention.q.tables"]));
  EXPECT_FALSE(
      made->named_parameters()["layers.0.ffn.up.tables"].equal(again->named_parameters()["layers.0.ffn.up.tables"]));
}

TEST_F(BegunWithDense, WhatDoesNotGoTogetherIsRefused) {
  EXPECT_THAT(refusal([&] { factory("from_dense = \"dense\"\nfrom = \"dense\"\n"); }), HasSubstr("beside 'from'"));
  EXPECT_THAT(refusal([&] { factory("from_dense = \"dense\"\nbits = 5\n"); }), HasSubstr("multiple of 5 bits"));
  EXPECT_THAT(refusal([&] { factory("from_dense = \"nowhere\"\n"); }), HasSubstr("nowhere"));
  EXPECT_THAT(refusal([&] { factory("from_dense = \"dense\"\nscore = \"prob\"\n"); }), HasSubstr("score"));
  ModelPurpose blind = purpose_;
  blind.sample = {};
  EXPECT_THAT(refusal([&] { factory("from_dense = \"dense\"\nbits = 4\n")(blind); }), HasSubstr("activations"));
  ModelPurpose larger = purpose_;
  larger.vocabulary_size = 41;
  EXPECT_THAT(refusal([&] { factory("from_dense = \"dense\"\nbits = 4\n")(larger); }), HasSubstr("41 tokens"));
}

}  // namespace
}  // namespace kinglet
