#include "kinglet/io/parameter_order.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/error.h"
#include "kinglet/io/module_order.h"

namespace kinglet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

OptimizerSlot slot(std::vector<std::int64_t> shape, std::string name = {}) { return {std::move(name), shape}; }

OrderQuestion question(std::vector<NamedShape> weights, std::vector<std::vector<OptimizerSlot>> groups) {
  OrderQuestion result;
  result.weights = std::move(weights);
  result.groups = std::move(groups);
  result.weights_where = "model.safetensors";
  result.optimizer_where = "optimizer.pt";
  return result;
}

std::vector<std::string> names_of_order(const OrderQuestion& asked, const OrderAnswer& answer) {
  std::vector<std::string> names;
  for (const auto& weight : answer.weight_of_slot) names.push_back(weight ? asked.weights[*weight].name : "-");
  return names;
}

std::string refused_order(const OrderQuestion& asked) {
  try {
    match_parameter_order(asked);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    return error.what();
  }
  return "no error";
}

// Real models of transformers: see tests/golden/io/make_parameter_orders.py.
class KnownArchitectures : public ::testing::TestWithParam<nlohmann::json> {
 protected:
  static OrderQuestion ask(const nlohmann::json& model, const std::vector<std::string>& groups) {
    OrderQuestion result = question({}, {});
    for (const auto& tensor : model["tensors"]) result.weights.push_back({tensor[0], tensor[1]});
    for (const std::string& group : groups) {
      auto& slots = result.groups.emplace_back();
      for (const std::size_t i : model[group]) slots.push_back(slot(result.weights[i].shape));
    }
    result.model_type = model["model_type"];
    return result;
  }

  static std::vector<std::optional<std::size_t>> recorded(const nlohmann::json& model,
                                                          const std::vector<std::string>& groups) {
    std::vector<std::optional<std::size_t>> result;
    for (const std::string& group : groups) {
      for (const std::size_t i : model[group]) result.emplace_back(i);
    }
    return result;
  }
};

TEST_P(KnownArchitectures, TrainerGroups) {
  const std::vector<std::string> groups = {"decay", "rest"};
  EXPECT_EQ(match_parameter_order(ask(GetParam(), groups)).weight_of_slot, recorded(GetParam(), groups));
}

TEST_P(KnownArchitectures, OneGroup) {
  EXPECT_EQ(match_parameter_order(ask(GetParam(), {"module"})).weight_of_slot, recorded(GetParam(), {"module"}));
}

TEST_P(KnownArchitectures, WithoutConfig) {
  OrderQuestion asked = ask(GetParam(), {"decay", "rest"});
  asked.model_type.clear();
  EXPECT_EQ(match_parameter_order(asked).weight_of_slot, recorded(GetParam(), {"decay", "rest"}));
}

TEST_P(KnownArchitectures, OtherArchitectureIsNotGuessed) {
  OrderQuestion asked = ask(GetParam(), {"decay", "rest"});
  asked.model_type = "something_else";
  EXPECT_THAT(refused_order(asked), HasSubstr("--param-order"));
}

std::vector<nlohmann::json> golden_models() {
  std::ifstream file(KINGLET_SOURCE_DIR "/tests/golden/io/parameter_orders.json");
  return nlohmann::json::parse(file).get<std::vector<nlohmann::json>>();
}

std::string model_name(const ::testing::TestParamInfo<nlohmann::json>& info) {
  return info.param["class"].get<std::string>() + std::to_string(info.index);
}

INSTANTIATE_TEST_SUITE_P(Transformers, KnownArchitectures, ::testing::ValuesIn(golden_models()), model_name);

TEST(ParameterOrder, OwnNamesComeFirst) {
  auto asked =
      question({{"a", {4}}, {"b", {4}}, {"c", {4}}}, {{slot({4}, "module.c"), slot({4}, "a")}, {slot({4}, "b")}});
  asked.user_order = {"a", "b", "c"};
  EXPECT_THAT(names_of_order(asked, match_parameter_order(asked)), ElementsAre("c", "a", "b"));
}

TEST(ParameterOrder, OneRenamedTensorIsFoundByItsShape) {
  auto asked = question({{"a", {4}}, {"embed_out.weight", {9, 4}}}, {{slot({9, 4}, "lm_head.weight"), slot({4}, "a")}});
  EXPECT_THAT(names_of_order(asked, match_parameter_order(asked)), ElementsAre("embed_out.weight", "a"));
}

TEST(ParameterOrder, OwnNameWithOtherShapeIsRefused) {
  EXPECT_THAT(refused_order(question({{"a", {4}}, {"b", {5}}}, {{slot({4}, "b"), slot({5}, "a")}})),
              HasSubstr("has shape"));
  EXPECT_THAT(refused_order(question({{"a", {4}}, {"b", {4}}}, {{slot({4}, "b"), slot({4}, "b")}})),
              HasSubstr("twice"));
}

TEST(ParameterOrder, NamesRestrictTheOrderRules) {
  // Two of three equal shapes are named; the known order must agree with them.
  auto asked =
      question({{"transformer.h.0.ln_1.weight", {4}},
                {"transformer.h.0.ln_2.weight", {4}},
                {"transformer.ln_f.weight", {4}},
                {"transformer.wpe.weight", {4}}},
               {{slot({4}, "wpe?"), slot({4}, "x"), slot({4}, "y"), slot({4}, "transformer.h.0.ln_1.weight")}});
  EXPECT_THAT(refused_order(asked), HasSubstr("--param-order"));  // gpt2 has ln_1 second, not last
}

TEST(ParameterOrder, UserList) {
  auto asked = question({{"a", {4}}, {"b", {4}}, {"c", {2, 2}}}, {{slot({4}), slot({2, 2}), slot({4})}});
  EXPECT_THAT(refused_order(asked), HasSubstr("--param-order"));
  asked.user_order = {"b", "c", "a"};
  EXPECT_THAT(names_of_order(asked, match_parameter_order(asked)), ElementsAre("b", "c", "a"));
  asked.user_order = {"b", "c"};
  EXPECT_THAT(refused_order(asked), HasSubstr("lists 2 names"));
  asked.user_order = {"b", "a", "c"};
  EXPECT_THAT(refused_order(asked), HasSubstr("has shape [2, 2]"));
  asked.user_order = {"b", "c", "d"};
  EXPECT_THAT(refused_order(asked), HasSubstr("no tensor 'd'"));
  asked.user_order = {"b", "c", "b"};
  EXPECT_THAT(refused_order(asked), HasSubstr("twice"));
}

TEST(ParameterOrder, StateDictOrder) {
  auto asked = question({{"z", {4}}, {"a.weight", {4, 4}}, {"a.bias", {4}}, {"b", {4, 4}}},
                        {{slot({4, 4}), slot({4, 4})}, {slot({4}), slot({4})}});
  EXPECT_THAT(refused_order(asked), HasSubstr("--param-order"));
  asked.weights_in_module_order = true;
  EXPECT_THAT(names_of_order(asked, match_parameter_order(asked)), ElementsAre("a.weight", "b", "z", "a.bias"));
}

TEST(ParameterOrder, SkipsWeightsOnlyWhenOneWayFits) {
  auto asked = question({{"embed", {9, 4}}, {"l0", {4, 4}}, {"l1", {4, 4}}, {"head", {9, 4}}},
                        {{slot({4, 4}), slot({4, 4}), slot({9, 4})}});
  asked.weights_in_module_order = true;
  EXPECT_THAT(names_of_order(asked, match_parameter_order(asked)), ElementsAre("l0", "l1", "head"));  // embed is frozen
  asked.groups = {{slot({4, 4}), slot({9, 4})}};  // one of l0 and l1 is frozen, but which?
  EXPECT_THAT(refused_order(asked), HasSubstr("more than one way"));
}

TEST(ParameterOrder, ParametersWithoutState) {
  auto asked = question({{"a", {4}}, {"b", {5}}, {"c", {4}}}, {{slot({4}), {}, slot({4})}});
  asked.weights_in_module_order = true;
  EXPECT_THAT(names_of_order(asked, match_parameter_order(asked)), ElementsAre("a", "b", "c"));
  asked.groups = {{{}, {}}, {{}}, {{}}};  // before the first step nothing needs a name
  EXPECT_THAT(names_of_order(asked, match_parameter_order(asked)), ElementsAre("-", "-", "-", "-"));
}

TEST(ParameterOrder, UniqueShapesNeedNoOrder) {
  const auto asked = question({{"a", {4}}, {"b", {5}}, {"c", {6}}}, {{slot({6})}, {slot({4})}, {slot({5})}});
  EXPECT_THAT(names_of_order(asked, match_parameter_order(asked)), ElementsAre("c", "a", "b"));
}

TEST(ParameterOrder, WrongCheckpoint) {
  const std::vector<NamedShape> weights = {{"a", {4}}, {"b", {5}}};
  EXPECT_THAT(refused_order(question(weights, {{slot({4}), slot({6})}})), HasSubstr("parameter 1 has shape [6]"));
  EXPECT_THAT(refused_order(question(weights, {{slot({4}), slot({4}), slot({5})}})),
              HasSubstr("not of the same checkpoint"));
}

TEST(ParameterOrder, ListFile) {
  EXPECT_THAT(parse_parameter_order("a.weight\r\n\n  b \nc", "names.txt"), ElementsAre("a.weight", "b", "c"));
  EXPECT_THROW(parse_parameter_order("a\nb\na\n", "names.txt"), Error);
}

TEST(ModuleOrder, VersionsThatDifferInShapeAreToldApart) {
  // transformers 4 builds ViT layers with the norms last, version 5 before the feed-forward part.
  const std::vector<std::string> names = {"vit.encoder.layer.0.intermediate.dense.bias",
                                          "vit.encoder.layer.0.layernorm_before.bias"};
  EXPECT_EQ(known_module_orders(names, "vit").size(), 2u);
  const auto four = question({{names[0], {16}}, {names[1], {8}}}, {{slot({16}), slot({8})}});
  EXPECT_THAT(names_of_order(four, match_parameter_order(four)), ElementsAre(names[0], names[1]));
  const auto same = question({{names[0], {8}}, {names[1], {8}}}, {{slot({8}), slot({8})}});
  EXPECT_THAT(refused_order(same), HasSubstr("more than one way"));
}

TEST(ModuleOrder, Names) {
  EXPECT_TRUE(is_norm_name("transformer.h.0.ln_1.weight"));
  EXPECT_TRUE(is_norm_name("model.layers.0.self_attn.q_norm.weight"));
  EXPECT_TRUE(is_norm_name("bert.embeddings.LayerNorm.weight"));
  EXPECT_FALSE(is_norm_name("transformer.h.0.mlp.c_fc.weight"));
  EXPECT_TRUE(is_buffer_name("layer1.0.bn1.running_mean", 1));
  EXPECT_TRUE(is_buffer_name("gpt_neox.layers.0.attention.bias", 4));
  EXPECT_FALSE(is_buffer_name("layers.0.attention.bias", 1));
  EXPECT_EQ(without_wrapper_prefix("module._orig_mod.layer.weight"), "layer.weight");
  EXPECT_TRUE(known_module_orders({"model.layers.0.experts.weight"}, "llama").empty());
  EXPECT_TRUE(
      known_module_orders({"lm_head.weight", "model.lm_head.weight"}, "llama").empty());  // one place, two names
}

}  // namespace
}  // namespace kinglet
