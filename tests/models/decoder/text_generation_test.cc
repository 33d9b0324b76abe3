// Tokens become text as a whole text would be decoded: leading blanks, characters in several tokens, stop texts.
#include "kinglet/models/decoder/text_generation.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/error.h"
#include "kinglet/models/decoder/language_model.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

// Behind each token of `tokens`, which must differ, comes the next one.
std::shared_ptr<Decoder> model_of(const std::vector<TokenId>& tokens, std::int64_t vocabulary) {
  const at::NoGradGuard no_grad;
  auto decoder = std::make_shared<Decoder>(parse_decoder_config(
      R"({"model_type": "llama", "vocab_size": )" + std::to_string(vocabulary) +
          R"(, "hidden_size": 64, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
             "max_position_embeddings": 64})",
      "config.json"));
  decoder->initialize(1);
  for (auto& item : decoder->named_parameters()) {
    if (item.key().find("norm") == std::string::npos) item.value().zero_();
  }
  at::Tensor embedding = decoder->named_parameters()["embed_tokens"], output = decoder->named_parameters()["lm_head"];
  embedding.copy_(at::randn(embedding.sizes(), at::detail::createCPUGenerator(3)).sign());
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) output[tokens[i + 1]].copy_(embedding[tokens[i]]);
  return decoder;
}

class TextGenerationTest : public testing::Test {
 protected:
  std::unique_ptr<Tokenizer> tokenizer =
      Tokenizer::load(std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text/llama2.json");
  // Words with their blank in front, and a character of four byte tokens.
  const std::vector<TokenId> tokens = encode_prompt(*tokenizer, "x of\U0001F98Ban");
};

TEST_F(TextGenerationTest, GoesOnWhereThePromptEnds) {
  const std::string whole = tokenizer->decode(tokens);
  EXPECT_EQ(whole, "x of\U0001F98Ban");
  const auto decoder = model_of(tokens, tokenizer->vocabulary_size());
  for (std::size_t cut = 1; cut < tokens.size(); ++cut) {
    const std::vector<TokenId> prompt(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(cut));
    GenerationOptions options;
    options.max_tokens = static_cast<std::int64_t>(tokens.size() - cut);
    std::string shown;
    const TextGeneration result =
        generate_text(*decoder, *tokenizer, prompt, options, {}, [&](std::string_view piece) { shown += piece; });
    EXPECT_THAT(result.generation.tokens,
                testing::ElementsAreArray(tokens.begin() + static_cast<std::ptrdiff_t>(cut), tokens.end()));
    EXPECT_EQ(shown, result.text);
    // A prompt that ends inside a character does not show it: then the whole character is new.
    std::string before = tokenizer->decode(prompt);
    before = before.substr(0, before.find("\uFFFD"));
    EXPECT_EQ(before + result.text, whole) << cut;
  }
}

TEST_F(TextGenerationTest, StopTextsAndEos) {
  const auto decoder = model_of(tokens, tokenizer->vocabulary_size());
  const std::vector<TokenId> prompt(tokens.begin(), tokens.begin() + 1);
  GenerationOptions options;
  options.max_tokens = static_cast<std::int64_t>(tokens.size()) - 1;
  const TextGeneration stopped = generate_text(*decoder, *tokenizer, prompt, options, {"\U0001F98B"});
  EXPECT_EQ(stopped.text, "x of");
  EXPECT_EQ(stopped.generation.finish, GenerationEnd::kStopped);
  options.eos = {tokens.back()};
  const TextGeneration ended = generate_text(*decoder, *tokenizer, prompt, options);
  EXPECT_EQ(ended.text + tokenizer->token(tokens.back()), "x of\U0001F98Ban");
  EXPECT_EQ(ended.generation.finish, GenerationEnd::kEos);
  EXPECT_THROW(generate_text(*decoder, *tokenizer, prompt, options, {""}), Error);
}

}  // namespace
}  // namespace kinglet
