#include "kinglet/models/decoder/weight_names.h"

#include <set>

#include <gtest/gtest.h>

#include "kinglet/base/error.h"
#include "kinglet/models/decoder/decoder.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

DecoderConfig tiny(Family family) {
  const std::string name(family_name(family));
  std::string text = R"({"model_type": ")" + name + R"(", "vocab_size": 40, )";
  if (family == Family::kGpt2) {
    text += R"("n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32})";
  } else {
    text += R"("hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
               "ffn_dim": 24, "max_position_embeddings": 32, "head_dim": 8})";
  }
  return parse_decoder_config(text, "config.json");
}

class WeightNames : public testing::TestWithParam<Family> {};

// The map holds every parameter of the model exactly once.
TEST_P(WeightNames, CoverTheModel) {
  const DecoderConfig config = tiny(GetParam());
  const Decoder decoder(config);
  std::multiset<std::string> mapped, present;
  for (const WeightEntry& entry : weight_entries(config)) {
    mapped.insert(entry.parameters.begin(), entry.parameters.end());
  }
  std::int64_t count = 0;
  for (const auto& item : decoder.named_parameters()) {
    present.insert(item.key());
    count += item.value().numel();
  }
  EXPECT_EQ(mapped, present);
  EXPECT_EQ(count, parameter_count(config));
}

TEST_P(WeightNames, UnpackingIsTheInverseOfPacking) {
  const DecoderConfig config = tiny(GetParam());
  const Decoder decoder(config);
  torch::manual_seed(1);
  const auto parameters = decoder.named_parameters();
  for (const WeightEntry& entry : weight_entries(config)) {
    std::vector<at::Tensor> parts;
    std::vector<std::vector<std::int64_t>> shapes;
    for (const std::string& name : entry.parameters) {
      parts.push_back(torch::randn(parameters[name].sizes()));
      shapes.push_back(parameters[name].sizes().vec());
    }
    const at::Tensor packed = pack_weight(entry.layout, parts, config.num_heads);
    const auto again = unpack_weight(entry.layout, packed, shapes, config.num_heads);
    ASSERT_EQ(again.size(), parts.size());
    for (std::size_t i = 0; i < parts.size(); ++i) EXPECT_TRUE(at::equal(again[i], parts[i])) << entry.name;
    EXPECT_THROW(unpack_weight(entry.layout, torch::zeros({3, 5}), shapes, config.num_heads), Error);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, WeightNames,
                         testing::Values(Family::kGpt2, Family::kGptNeox, Family::kOpt, Family::kLlama,
                                         Family::kMistral, Family::kQwen2, Family::kQwen3, Family::kGemma3),
                         [](const auto& family) { return std::string(family_name(family.param)); });

}  // namespace
}  // namespace kinglet
