// A user's mistakes with model folders: each is one clear line that names the place.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/golden_models.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/models/decoder/gguf_model.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing_support::refusal;
using testing_support::TemporaryFolder;

using testing_support::kGoldenModels;

std::string config_error(const std::string& json) {
  return refusal([&] { parse_decoder_config(json, "config.json"); });
}

constexpr const char* kGood = R"("vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
  "intermediate_size": 24, "max_position_embeddings": 32)";

TEST(DecoderConfig, BadFilesAreRefused) {
  const auto with = [](const std::string& more) { return std::string("{") + kGood + ", " + more + "}"; };
  EXPECT_THAT(config_error("{"), HasSubstr("not JSON"));
  EXPECT_THAT(config_error("[]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(config_error("{}"), HasSubstr("model_type ''"));
  EXPECT_THAT(config_error(R"({"model_type": "bert"})"), AllOf(HasSubstr("'bert'"), HasSubstr("known are gpt2")));
  EXPECT_THAT(config_error(R"({"model_type": "llama"})"), HasSubstr("'vocab_size' is missing"));
  EXPECT_THAT(config_error(with(R"("model_type": "llama", "rms_norm_eps": "small")")), HasSubstr("'rms_norm_eps'"));
  EXPECT_THAT(config_error(with(R"("model_type": "llama", "num_key_value_heads": 3)")),
              HasSubstr("num_key_value_heads"));
  EXPECT_THAT(config_error(with(R"("model_type": "llama", "rope_scaling": {"rope_type": "yarn", "factor": 2})")),
              HasSubstr("rope type 'yarn'"));
  EXPECT_THAT(config_error(with(R"("model_type": "gemma3_text", "final_logit_softcapping": 30.0)")),
              HasSubstr("final_logit_softcapping"));
  EXPECT_THAT(config_error(with(R"("model_type": "llama", "hidden_act": "mish")")), HasSubstr("'mish'"));
  EXPECT_THAT(config_error(R"({"model_type": "llama", "vocab_size": 32, "hidden_size": 1e3, "num_hidden_layers": 1,
    "num_attention_heads": 1, "max_position_embeddings": 4})"),
              HasSubstr("'hidden_size' must be an integer"));
  EXPECT_THAT(config_error(R"({"model_type": "gpt2", "vocab_size": 9223372036854775807, "n_embd": 8, "n_layer": 1,
    "n_head": 2})"),
              HasSubstr("vocab_size"));
}

class ModelFolder : public testing::Test {
 protected:
  // A copy of a golden model that a test may spoil.
  fs::path copy(const std::string& name) const {
    const fs::path to = folder / name;
    fs::create_directories(to);
    for (const char* file : {"config.json", "model.safetensors"}) fs::copy_file(kGoldenModels / name / file, to / file);
    return to;
  }
  static void edit(const fs::path& file, const std::string& from, const std::string& to) {
    std::string text(as_text(read_file(file)));
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos);
    text.replace(at, from.size(), to);
    std::ofstream(file, std::ios::trunc) << text;
  }
  const TemporaryFolder folder;
};

TEST_F(ModelFolder, OfAnotherFamily) {
  const fs::path model = copy("llama2");
  fs::copy_file(kGoldenModels / "gpt_neox" / "config.json", model / "config.json",
                fs::copy_options::overwrite_existing);
  EXPECT_THAT(refusal([&] { load_decoder(model); }), HasSubstr("gpt_neox.embed_in.weight is missing"));
}

TEST_F(ModelFolder, OfAnotherShape) {
  const fs::path model = copy("llama2");
  edit(model / "config.json", "\"intermediate_size\": 48", "\"intermediate_size\": 64");
  EXPECT_THAT(refusal([&] { load_decoder(model); }),
              AllOf(HasSubstr("mlp.gate_proj.weight"), HasSubstr("[48, 32]"), HasSubstr("[64, 32]")));
}

TEST_F(ModelFolder, WithLayersThatTheConfigDoesNotHave) {
  const fs::path model = copy("llama2");
  edit(model / "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
  EXPECT_THAT(refusal([&] { load_decoder(model); }), HasSubstr("no place for tensor model.layers.1."));
}

TEST_F(ModelFolder, WithoutAShard) {
  const fs::path out = folder / "sharded";
  save_decoder(out, *load_decoder(kGoldenModels / "llama2"), {}, 20'000);
  for (const auto& file : fs::directory_iterator(out)) {
    if (file.path().filename().string().starts_with("model-00002-of-")) fs::remove(file);
  }
  EXPECT_THAT(refusal([&] { load_decoder(out); }), HasSubstr("model-00002-of-"));
}

TEST_F(ModelFolder, WithoutWeightsOrConfig) {
  const fs::path model = copy("llama2");
  fs::remove(model / "model.safetensors");
  EXPECT_THAT(refusal([&] { load_decoder(model); }), HasSubstr("no model.safetensors"));
  EXPECT_THAT(refusal([&] { load_decoder(folder / "nowhere"); }), HasSubstr("config.json"));
}

TEST_F(ModelFolder, UsedWithTokensItDoesNotHave) {
  const auto decoder = load_decoder(kGoldenModels / "gpt2");
  const auto run = [&](const at::Tensor& tokens) {
    return refusal([&] { decoder->forward({tokens, {}, {}, nullptr}); });
  };
  EXPECT_THAT(run(at::full({1, 2}, 61, at::kLong)), AllOf(HasSubstr("token id 61"), HasSubstr("61 embeddings")));
  EXPECT_THAT(run(at::full({1, 2}, -1, at::kLong)), HasSubstr("token id -1"));
  EXPECT_THAT(run(at::zeros({1, 65}, at::kLong)), HasSubstr("64 positions"));
}

TEST_F(ModelFolder, GgufOfAnotherArchitecture) {
  fs::create_directories(folder.path());
  const fs::path path = folder / "x.gguf";
  Bytes bytes = read_file(kGoldenModels / "llama2" / "model.gguf");
  std::string text(as_text(bytes));
  const std::size_t at = text.find("llama");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 5, "llamo");
  std::ofstream(path, std::ios::binary) << text;
  EXPECT_THAT(refusal([&] { load_gguf_decoder(path); }), HasSubstr("'llamo'"));
}

}  // namespace
}  // namespace kinglet
