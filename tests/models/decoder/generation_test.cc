// Continuing sequences: batches against single prompts and against decoding without cache, ends, callbacks.
#include "kinglet/models/decoder/generation.h"

#include <cmath>
#include <filesystem>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/golden_models.h"

#include "kinglet/base/error.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/tensor_io.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using Prompts = std::vector<std::vector<TokenId>>;

using testing_support::kGoldenModels;
const Prompts kPrompts = {{5, 17, 3}, {9}, {40, 41, 42, 43, 44, 45, 46, 8}, {12, 60, 31, 7, 7}};

GenerationOptions greedy(std::int64_t tokens) {
  GenerationOptions options;
  options.max_tokens = tokens;
  return options;
}

GenerationOptions sampled(std::int64_t tokens, std::uint64_t seed) {
  GenerationOptions options = greedy(tokens);
  options.choice.temperature = 1.3;
  options.choice.top_p = 0.95;
  options.choice.seed = seed;
  return options;
}

Prompts tokens_of(const std::vector<Generation>& all) {
  Prompts tokens;
  for (const Generation& one : all) tokens.push_back(one.tokens);
  return tokens;
}

class GenerationOf : public testing::TestWithParam<const char*> {
 protected:
  GenerationOf() : decoder(load_decoder(kGoldenModels / GetParam())) {}
  std::shared_ptr<Decoder> decoder;
};

TEST_P(GenerationOf, ContinuesAsTransformersDoes) {
  const SafetensorsFile file(kGoldenModels / GetParam() / "expected.safetensors");
  std::vector<TokenId> expected;
  for (const TensorView& view : file.tensors()) {
    if (view.name != "generated") continue;
    const at::Tensor row = to_tensor(view).contiguous();
    expected.assign(row.data_ptr<std::int64_t>(), row.data_ptr<std::int64_t>() + row.numel());
  }
  const std::vector<TokenId> prompt(expected.begin(), expected.begin() + 4);
  const auto result = generate(*decoder, {prompt}, greedy(16));
  EXPECT_EQ(result.at(0).tokens, std::vector<TokenId>(expected.begin() + 4, expected.end()));
  EXPECT_EQ(result[0].finish, GenerationEnd::kLength);
}

// With padding on the left, in pieces, and with rows that end early and are dropped.
TEST_P(GenerationOf, BatchesGiveTheTokensOfEachPromptAlone) {
  for (const GenerationOptions& options : {greedy(20), sampled(20, 3)}) {
    Prompts alone;
    for (std::size_t i = 0; i < kPrompts.size(); ++i) {
      GenerationOptions own = options;
      own.first_sequence = i;
      alone.push_back(generate(*decoder, {kPrompts[i]}, own).at(0).tokens);
    }
    EXPECT_EQ(tokens_of(generate(*decoder, kPrompts, options)), alone);

    GenerationOptions pieces = options;
    pieces.prompt_piece = 3;
    EXPECT_EQ(tokens_of(generate(*decoder, kPrompts, pieces)), alone);

    const auto ending = [&](const GeneratedToken& token) {
      return token.position + 1 < static_cast<std::int64_t>(5 * token.sequence + 2);
    };
    const auto ended = generate(*decoder, kPrompts, options, ending);
    for (std::size_t i = 0; i < kPrompts.size(); ++i) {
      EXPECT_EQ(ended[i].tokens, std::vector<TokenId>(alone[i].begin(), alone[i].begin() + 5 * i + 2));
      EXPECT_EQ(ended[i].finish, GenerationEnd::kStopped);
    }
  }
}

TEST_P(GenerationOf, LogProbabilitiesAreTheModels) {
  GenerationOptions options = sampled(6, 5);
  options.log_probabilities = true;
  options.choice.repetition_penalty = 1.4;
  const auto results = generate(*decoder, kPrompts, options);
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < kPrompts.size(); ++i) {
    std::vector<std::int64_t> all(kPrompts[i].begin(), kPrompts[i].end());
    ASSERT_EQ(results[i].log_probabilities.size(), results[i].tokens.size());
    for (std::size_t t = 0; t < results[i].tokens.size(); ++t) {
      const at::Tensor hidden = decoder->forward({at::tensor(all, at::kLong).unsqueeze(0), {}, {}, nullptr});
      const at::Tensor row = decoder->logits(hidden.slice(1, -1)).flatten().log_softmax(-1);
      EXPECT_NEAR(results[i].log_probabilities[t], row[results[i].tokens[t]].item<double>(), 2e-4);
      all.push_back(results[i].tokens[t]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GenerationOf,
                         testing::Values("gpt2", "gpt_neox", "opt", "llama3", "mistral", "qwen3", "gemma3"),
                         [](const auto& family) { return std::string(family.param); });

class GenerationTest : public testing::Test {
 protected:
  std::shared_ptr<Decoder> decoder = load_decoder(kGoldenModels / "llama3");
};

TEST_F(GenerationTest, EndsBehindEos) {
  const auto all = generate(*decoder, kPrompts, greedy(20));
  GenerationOptions options = greedy(20);
  options.eos = {all[0].tokens[7], all[2].tokens[3]};
  const auto ended = generate(*decoder, kPrompts, options);
  for (std::size_t i = 0; i < kPrompts.size(); ++i) {
    const auto& tokens = all[i].tokens;
    const auto end = std::find_first_of(tokens.begin(), tokens.end(), options.eos.begin(), options.eos.end());
    EXPECT_EQ(ended[i].tokens, std::vector<TokenId>(tokens.begin(), end == tokens.end() ? end : end + 1));
    EXPECT_EQ(ended[i].finish, end == tokens.end() ? GenerationEnd::kLength : GenerationEnd::kEos);
  }
}

TEST_F(GenerationTest, ShowsEveryTokenOnceInOrder) {
  std::map<std::size_t, std::vector<TokenId>> shown;
  const auto results = generate(*decoder, kPrompts, greedy(9), [&](const GeneratedToken& token) {
    EXPECT_EQ(token.position, static_cast<std::int64_t>(shown[token.sequence].size()));
    shown[token.sequence].push_back(token.token);
    return true;
  });
  for (std::size_t i = 0; i < kPrompts.size(); ++i) EXPECT_EQ(shown[i], results[i].tokens);
}

TEST_F(GenerationTest, SeedsAndSequencesDiffer) {
  const Prompts same(3, {5, 17, 3});
  const auto first = tokens_of(generate(*decoder, same, sampled(12, 1)));
  EXPECT_EQ(first, tokens_of(generate(*decoder, same, sampled(12, 1))));
  EXPECT_NE(first, tokens_of(generate(*decoder, same, sampled(12, 2))));
  EXPECT_NE(first[0], first[1]);
  EXPECT_NE(first[1], first[2]);
}

TEST_F(GenerationTest, ARepetitionPenaltyAvoidsWhatWasThere) {
  GenerationOptions options = greedy(30);
  options.choice.repetition_penalty = 1e9;
  std::vector<TokenId> all = {5, 17, 3};
  const auto results = generate(*decoder, {all}, options);
  for (const TokenId token : results.at(0).tokens) {
    EXPECT_THAT(all, testing::Not(testing::Contains(token)));
    all.push_back(token);
  }
}

// 64 positions: 60 tokens leave room for four, and the token behind the last one needs none. Rows that ended there stay
// in the batch for a while, also with a table of positions.
TEST_P(GenerationOf, EndsAtTheLastPosition) {
  const Prompts prompts = {std::vector<TokenId>(60, 9), std::vector<TokenId>(64, 9), {9}, {9, 9}, {8}};
  const auto results = generate(*decoder, prompts, greedy(1000));
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(prompts[i].size() + results[i].tokens.size(), 65U);
    EXPECT_EQ(results[i].finish, GenerationEnd::kLength);
  }
}

TEST_F(GenerationTest, HasNothingToDo) {
  EXPECT_TRUE(generate(*decoder, {}, greedy(5)).empty());
  EXPECT_TRUE(generate(*decoder, {{5}}, greedy(0)).at(0).tokens.empty());
}

TEST_F(GenerationTest, RefusesBadInput) {
  EXPECT_THROW(generate(*decoder, {{}}, greedy(5)), Error);
  EXPECT_THROW(generate(*decoder, {std::vector<TokenId>(65, 9)}, greedy(5)), Error);
  EXPECT_THROW(generate(*decoder, {{61}}, greedy(5)), Error);
  EXPECT_THROW(generate(*decoder, {{-1}}, greedy(5)), Error);
  EXPECT_THROW(generate(*decoder, {{5}}, greedy(-1)), Error);
  GenerationOptions options = greedy(5);
  options.choice.top_p = 0.0;
  EXPECT_THROW(generate(*decoder, {{5}}, options), Error);
}

TEST_F(GenerationTest, LeavesTheModelFitForTraining) {
  generate(*decoder, kPrompts, greedy(4));
  const at::Tensor hidden = decoder->forward({at::tensor({1, 2, 3}, at::kLong).unsqueeze(0), {}, {}, nullptr});
  decoder->logits(hidden).sum().backward();
  EXPECT_TRUE(decoder->named_parameters()["embed_tokens"].grad().defined());
}

}  // namespace
}  // namespace kinglet
