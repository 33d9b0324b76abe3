// Tokenizers of every family against the ids and texts of the software that defines them
// (tests/golden/text/make_tokenizers.py).
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "kinglet/base/files.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {
namespace {

using nlohmann::json;

std::filesystem::path tokenizer_golden(const std::string& name) {
  return std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text" / name;
}
json read_json(const std::string& name) { return json::parse(as_text(read_file(tokenizer_golden(name)))); }

std::string in_stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool skip_special) {
  StreamDecoder decoder(tokenizer, skip_special);
  std::string text;
  for (const TokenId id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

std::vector<TokenId> around(const json& expected, const std::vector<TokenId>& ids) {
  auto all = expected.at("before").get<std::vector<TokenId>>();
  all.insert(all.end(), ids.begin(), ids.end());
  for (const json& id : expected.at("after")) all.push_back(id.get<TokenId>());
  return all;
}

class TokenizerGolden : public testing::TestWithParam<std::string> {};

TEST_P(TokenizerGolden, GivesTheReferencesIdsAndTexts) {
  const bool is_model = GetParam().starts_with("sentencepiece");
  const auto tokenizer = Tokenizer::load(tokenizer_golden(GetParam() + (is_model ? ".model" : ".json")));
  const json texts = read_json("expected/texts.json");
  const json expected = read_json("expected/" + GetParam() + ".json");
  ASSERT_EQ(texts.size(), expected.at("rows").size());
  ASSERT_GE(texts.size(), 250U);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const json& row = expected.at("rows")[i];
    if (row.is_null()) continue;
    const auto text = texts[i].get<std::string>();
    const auto ids = row[0].get<std::vector<TokenId>>();
    EXPECT_EQ(tokenizer->encode(text, false), ids) << texts[i];
    EXPECT_EQ(tokenizer->encode(text), around(expected, ids)) << texts[i];
    const std::string decoded = row[1].is_null() ? text : row[1].get<std::string>();
    EXPECT_EQ(tokenizer->decode(ids), decoded) << texts[i];
    EXPECT_EQ(in_stream(*tokenizer, ids, true), decoded) << texts[i];
    if (is_model) continue;  // the library has no word for it
    const std::string kept = row[2].is_null() ? decoded : row[2].get<std::string>();
    EXPECT_EQ(tokenizer->decode(ids, false), kept) << texts[i];
    EXPECT_EQ(in_stream(*tokenizer, ids, false), kept) << texts[i];
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerGolden,
                         testing::Values("gpt2", "neox", "opt", "roberta", "llama3", "qwen2", "deepseek", "nemo",
                                         "llama2", "mistral", "metaspace", "gemma", "unigram", "mixture", "whitespace",
                                         "sentencepiece_bpe", "sentencepiece_unigram"),
                         [](const auto& name) { return name.param; });

}  // namespace
}  // namespace kinglet
