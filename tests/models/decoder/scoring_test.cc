// Log-probabilities of texts and perplexity, against log_softmax of the logits.
#include "kinglet/models/decoder/scoring.h"

#include <cmath>
#include <filesystem>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/support/golden_models.h"

#include "kinglet/base/error.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

using testing_support::kGoldenModels;

std::vector<TokenId> some_tokens(std::size_t count, std::uint32_t seed) {
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < count; ++i) {
    seed = seed * 1664525U + 1013904223U;
    tokens.push_back(static_cast<TokenId>(seed >> 16) % 61);
  }
  return tokens;
}

class Scoring : public testing::Test {
 protected:
  std::vector<double> expected(const std::vector<TokenId>& text) {
    const at::NoGradGuard no_grad;
    const std::vector<std::int64_t> wide(text.begin(), text.end());
    const at::Tensor hidden = decoder->forward({at::tensor(wide, at::kLong).unsqueeze(0), {}, {}, nullptr});
    const at::Tensor all = decoder->logits(hidden).squeeze(0).log_softmax(-1);
    std::vector<double> values;
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
      values.push_back(all[static_cast<std::int64_t>(i)][text[i + 1]].item<double>());
    }
    return values;
  }
  std::shared_ptr<Decoder> decoder = load_decoder(kGoldenModels / "qwen3");
};

TEST_F(Scoring, OfABatchIsThatOfEveryText) {
  std::vector<std::vector<TokenId>> texts = {{}, {4}};
  for (std::size_t i = 0; i < 150; ++i) texts.push_back(some_tokens(1 + (i * 37) % 64, static_cast<std::uint32_t>(i)));
  const auto results = score(*decoder, texts);  // several batches
  ASSERT_EQ(results.size(), texts.size());
  EXPECT_TRUE(results[0].empty());
  EXPECT_TRUE(results[1].empty());
  for (std::size_t i = 2; i < texts.size(); ++i) {
    const auto wanted = expected(texts[i]);
    ASSERT_EQ(results[i].size(), wanted.size());
    for (std::size_t t = 0; t < wanted.size(); ++t) EXPECT_NEAR(results[i][t], wanted[t], 1e-4);
  }
}

// Every token once, with the context that the windows give it.
TEST_F(Scoring, PerplexityOfWindows) {
  const std::vector<TokenId> text = some_tokens(100, 3);
  for (const std::int64_t window : {8, 31, 64}) {
    for (const std::int64_t stride : {std::int64_t{1}, std::int64_t{5}, window / 2, window - 1}) {
      for (const bool with_begin : {false, true}) {
        PerplexitySettings settings;
        settings.window = window;
        settings.stride = stride;
        if (with_begin) settings.begin = 1;
        const std::size_t extra = with_begin ? 1 : 0, room = static_cast<std::size_t>(window) - extra;
        double sum = 0.0;
        std::size_t done = 1 - extra, windows = 0;
        for (std::size_t begin = 0; done < text.size(); begin += static_cast<std::size_t>(stride), ++windows) {
          const std::size_t end = std::min(text.size(), begin + room);
          std::vector<TokenId> seen(extra, 1);
          seen.insert(seen.end(), text.begin() + static_cast<std::ptrdiff_t>(begin),
                      text.begin() + static_cast<std::ptrdiff_t>(end));
          const auto values = expected(seen);
          const auto fresh = static_cast<std::ptrdiff_t>(end - done);
          sum = std::accumulate(values.end() - fresh, values.end(), sum);
          done = end;
        }
        std::int64_t progress = 0;
        const Perplexity result =
            perplexity(*decoder, text, settings, [&](std::int64_t tokens) { progress += tokens; });
        EXPECT_EQ(result.tokens, static_cast<std::int64_t>(99 + extra));
        EXPECT_EQ(progress, result.tokens);
        EXPECT_EQ(result.windows, static_cast<std::int64_t>(windows));
        EXPECT_NEAR(result.log_likelihood, sum, 1e-3);
        EXPECT_NEAR(result.value, std::exp(-sum / static_cast<double>(result.tokens)), 1e-3 * result.value);
      }
    }
  }
}

TEST_F(Scoring, RefusesBadInput) {
  EXPECT_THROW(score(*decoder, {std::vector<TokenId>(66, 1)}), Error);
  EXPECT_THROW(score(*decoder, {{1, 61}}), Error);  // the label
  EXPECT_THROW(score(*decoder, {{61, 1}}), Error);
  EXPECT_THROW(score(*decoder, {{1, -1}}), Error);
  EXPECT_EQ(score(*decoder, {std::vector<TokenId>(65, 1)}).at(0).size(), 64U);
  const std::vector<TokenId> text = some_tokens(20, 1);
  for (const auto& [window, stride] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {65, 32}, {16, 0}, {16, 16}, {16, -1}, {0, 0}}) {
    PerplexitySettings settings;
    settings.window = window;
    settings.stride = stride;
    EXPECT_THROW(perplexity(*decoder, text, settings), Error);
  }
  PerplexitySettings settings;
  settings.window = 16;
  settings.stride = 8;
  EXPECT_THROW(perplexity(*decoder, std::vector<TokenId>{1}, settings), Error);
  EXPECT_THROW(perplexity(*decoder, {}, settings), Error);
  settings.begin = 1;
  EXPECT_EQ(perplexity(*decoder, std::vector<TokenId>{1}, settings).tokens, 1);
}

}  // namespace
}  // namespace kinglet
