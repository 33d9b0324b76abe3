// Every family against transformers: tests/golden/models/make_decoders.py.
#include <cstdlib>
#include <filesystem>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/golden_models.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/models/decoder/gguf_model.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/tensor_io.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using testing_support::TemporaryFolder;

using testing_support::kGoldenModels;

// Relative to the largest logit: products are summed in another order than PyTorch's.
constexpr double kTolerance = 1e-5;

struct Expected {
  explicit Expected(const fs::path& folder) {
    const SafetensorsFile file(folder / "expected.safetensors");
    for (const TensorView& view : file.tensors()) tensors.emplace(view.name, to_tensor(view));
  }
  const at::Tensor& operator[](const std::string& name) const { return tensors.at(name); }
  std::map<std::string, at::Tensor> tensors;
};

double difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

class GoldenDecoder : public testing::TestWithParam<const char*> {
 protected:
  GoldenDecoder() : expected(kGoldenModels / GetParam()), decoder(load_decoder(kGoldenModels / GetParam())) {}

  at::Tensor logits(const DecoderInput& input) { return decoder->logits(decoder->forward(input)); }

  const at::NoGradGuard no_grad;
  Expected expected;
  std::shared_ptr<Decoder> decoder;
};

TEST_P(GoldenDecoder, Prefill) {
  EXPECT_LT(difference(logits({expected["tokens"], {}, {}, nullptr}), expected["logits"]), kTolerance);
}

// Token by token, and in pieces of other sizes.
TEST_P(GoldenDecoder, CachedDecode) {
  const at::Tensor& tokens = expected["tokens"];
  for (const std::vector<std::int64_t>& pieces :
       {std::vector<std::int64_t>(12, 1), std::vector<std::int64_t>{5, 1, 4, 2}}) {
    nn::KvCache cache = decoder->make_cache(tokens.size(0), 2);  // has to grow
    std::vector<at::Tensor> parts;
    std::int64_t begin = 0;
    for (const std::int64_t piece : pieces) {
      parts.push_back(logits({tokens.slice(1, begin, begin + piece), {}, {}, &cache}));
      begin += piece;
    }
    EXPECT_LT(difference(at::cat(parts, 1), expected["logits"]), kTolerance);
  }
}

TEST_P(GoldenDecoder, LeftPadding) {
  const at::Tensor& mask = expected["padded_mask"];
  const at::Tensor padding = (mask == 0).sum(1, true).to(at::kInt);  // [batch, 1]
  const at::Tensor first_key = padding.expand(mask.sizes());
  const at::Tensor positions = (mask.cumsum(1) - 1).clamp_min(0);
  const at::Tensor result = logits({expected["padded_tokens"], positions, first_key, nullptr});
  const at::Tensor real = mask.to(at::kBool).unsqueeze(-1);
  EXPECT_LT(difference(result * real, expected["padded_logits"] * real), kTolerance);
}

TEST_P(GoldenDecoder, GreedyContinuation) {
  const at::Tensor& wanted = expected["generated"];
  nn::KvCache cache = decoder->make_cache(1, 32);
  at::Tensor row = wanted.slice(1, 0, 4), step = row;
  while (row.size(1) < wanted.size(1)) {
    step = logits({step, {}, {}, &cache}).slice(1, -1).argmax(-1);
    row = at::cat({row, step}, 1);
  }
  EXPECT_TRUE(at::equal(row, wanted));
}

// What we write is read back to the same logits, in one file and in shards, and names what transformers' file names.
TEST_P(GoldenDecoder, SurvivesSaving) {
  const TemporaryFolder folder;
  const at::Tensor before = logits({expected["tokens"], {}, {}, nullptr});
  for (const std::uint64_t shard_bytes : {std::uint64_t{1} << 30, std::uint64_t{20'000}}) {
    const fs::path out = folder / std::to_string(shard_bytes);
    save_decoder(out, *decoder, {}, shard_bytes);
    EXPECT_EQ(fs::exists(out / "model.safetensors.index.json"), shard_bytes == 20'000);
    const auto again = load_decoder(out);
    EXPECT_TRUE(at::equal(again->logits(again->forward({expected["tokens"], {}, {}, nullptr})), before));
    std::map<std::string, std::vector<std::int64_t>> ours, theirs;
    const ModelWeights written = ModelWeights::open(out), original = ModelWeights::open(kGoldenModels / GetParam());
    for (const auto& [name, view] : written.tensors()) ours[name] = view.shape;
    for (const auto& [name, view] : original.tensors()) theirs[name] = view.shape;
    EXPECT_EQ(ours, theirs);
  }
}

TEST_P(GoldenDecoder, HalfPrecisionWeightsStayClose) {
  const auto halves = load_decoder(kGoldenModels / GetParam(), WeightType::kBFloat16);
  const at::Tensor result = halves->logits(halves->forward({expected["tokens"], {}, {}, nullptr}));
  EXPECT_LT(difference(result, expected["logits"]), 0.05);
}

// Weights in bf16 on disk stay so when asked, and are widened otherwise.
TEST_P(GoldenDecoder, StoredTypesAreKeptOnRequest) {
  const TemporaryFolder folder;
  save_decoder(folder / "halves", *decoder, "bfloat16");
  const auto kept = load_decoder(folder / "halves", WeightType::kAsStored);
  const auto widened = load_decoder(folder / "halves");
  EXPECT_EQ(kept->named_parameters()["embed_tokens"].scalar_type(), at::kBFloat16);
  EXPECT_EQ(kept->named_parameters()["layers.0.attention_norm.weight"].scalar_type(), at::kFloat);
  EXPECT_EQ(widened->named_parameters()["embed_tokens"].scalar_type(), at::kFloat);
  EXPECT_EQ(kept->config().dtype, "bfloat16");
}

// The packed documents of a row do not see each other: the same logits as alone.
TEST_P(GoldenDecoder, PackedDocumentsAreApart) {
  const at::Tensor tokens = expected["tokens"].slice(0, 0, 1);
  const at::Tensor alone = logits({tokens.slice(1, 5), {}, {}, nullptr});
  const at::Tensor first_key = at::tensor({0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 5, 5}, at::kInt).unsqueeze(0);
  const at::Tensor positions = at::tensor({0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6}, at::kLong).unsqueeze(0);
  const at::Tensor packed = logits({tokens, positions, first_key, nullptr});
  EXPECT_LT(difference(packed.slice(1, 5), alone), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenDecoder,
                         testing::Values("gpt2", "gpt_neox", "gpt_neox_serial", "opt", "llama2", "llama3",
                                         "llama_biased", "mistral", "qwen2", "qwen3", "gemma3"),
                         [](const auto& family) { return std::string(family.param); });

class GoldenGguf : public testing::TestWithParam<const char*> {};

TEST_P(GoldenGguf, GivesTheSameModel) {
  const at::NoGradGuard no_grad;
  const fs::path folder = kGoldenModels / GetParam();
  const Expected expected(folder);
  const auto decoder = load_gguf_decoder(folder / "model.gguf");
  EXPECT_LT(difference(decoder->logits(decoder->forward({expected["tokens"], {}, {}, nullptr})), expected["logits"]),
            kTolerance);
  const auto halves = load_gguf_decoder(folder / "model.gguf", WeightType::kBFloat16);
  EXPECT_LT(difference(halves->logits(halves->forward({expected["tokens"], {}, {}, nullptr})), expected["logits"]),
            0.05);
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenGguf, testing::Values("llama2", "qwen2", "qwen3"),
                         [](const auto& family) { return std::string(family.param); });

// A real model of 270 M parameters: KINGLET_GEMMA_GGUF names the file, KINGLET_GEMMA_EXPECTED a safetensors file with
// "tokens" [1, n] and "logits" [1, n, vocabulary] of another program (bench/peers/gemma_logits.py).
TEST(GemmaGguf, AgreesWithTransformers) {
  const char *model = std::getenv("KINGLET_GEMMA_GGUF"), *reference = std::getenv("KINGLET_GEMMA_EXPECTED");
  if (model == nullptr || reference == nullptr) GTEST_SKIP() << "set KINGLET_GEMMA_GGUF and KINGLET_GEMMA_EXPECTED";
  const at::NoGradGuard no_grad;
  const SafetensorsFile file(reference);
  std::map<std::string, at::Tensor> expected;
  for (const TensorView& view : file.tensors()) expected.emplace(view.name, to_tensor(view));
  const auto decoder = load_gguf_decoder(model);
  const at::Tensor logits = decoder->logits(decoder->forward({expected.at("tokens"), {}, {}, nullptr}));
  EXPECT_LT(difference(logits, expected.at("logits")), 1e-4);
  EXPECT_TRUE(at::equal(logits.argmax(-1), expected.at("logits").argmax(-1)));
}

}  // namespace
}  // namespace kinglet
