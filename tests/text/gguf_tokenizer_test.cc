// GGUF vocabularies made of the golden tokenizers give the same ids.
#include "kinglet/text/gguf_tokenizer.h"

#include <limits>
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/gguf_bytes.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/files.h"
#include "kinglet/text/tokenizer_pipeline.h"

namespace kinglet {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing_support::GgufBytes;
using testing_support::refusal;
using Ids = std::vector<TokenId>;

constexpr int kNormal = 1;
constexpr int kControl = 3;
constexpr int kUserDefined = 4;

json read_golden(const std::string& name) {
  return json::parse(as_text(read_file(std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text" / name)));
}

std::unique_ptr<Tokenizer> load(const GgufBytes& file) {
  const std::string bytes = file.bytes();
  return make_gguf_tokenizer(Gguf::parse(as_bytes(bytes), "file"));
}
std::string refused(const GgufBytes& file) {
  return refusal([&] { load(file); });
}

GgufBytes byte_level_file(const std::string& family, const std::string& pre) {
  const json file = read_golden(family + ".json");
  std::vector<std::string> texts(file.at("model").at("vocab").size());
  for (const auto& [text, id] : file.at("model").at("vocab").items()) texts.at(id.get<std::size_t>()) = text;
  std::vector<std::int32_t> types(texts.size(), kNormal);
  for (const json& token : file.at("added_tokens")) {
    const auto id = token.at("id").get<std::size_t>();
    if (id >= texts.size()) {
      texts.push_back(token.at("content"));
      types.push_back(kControl);
    }
    types.at(id) = token.at("special").get<bool>() ? kControl : kUserDefined;
  }
  std::vector<std::string> merges;
  for (const json& merge : file.at("model").at("merges")) {
    merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  GgufBytes result;
  result.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", pre);
  result.texts("tokenizer.ggml.tokens", texts).integers("tokenizer.ggml.token_type", types);
  return result.texts("tokenizer.ggml.merges", merges);
}

void expect_golden(const Tokenizer& tokenizer, const std::string& family) {
  const json texts = read_golden("expected/texts.json");
  const json expected = read_golden("expected/" + family + ".json");
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const json& row = expected.at("rows")[i];
    if (row.is_null()) continue;
    const auto ids = row[0].get<Ids>();
    EXPECT_EQ(tokenizer.encode(texts[i].get<std::string>(), false), ids) << texts[i];
    EXPECT_EQ(tokenizer.decode(ids), row[1].is_null() ? texts[i] : row[1]) << texts[i];
  }
}

TEST(GgufTokenizer, ReadsByteLevelVocabularies) {
  expect_golden(*load(byte_level_file("gpt2", "gpt-2")), "gpt2");
  expect_golden(*load(byte_level_file("llama3", "llama-bpe")), "llama3");
  expect_golden(*load(byte_level_file("nemo", "tekken")), "nemo");
}

GgufBytes scored_file() {
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
  for (const json& piece : read_golden("expected/sentencepiece_bpe_pieces.json")) {
    texts.push_back(piece[0]);
    scores.push_back(piece[1]);
    types.push_back(piece[2]);
  }
  GgufBytes result;
  result.text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", texts);
  result.floats("tokenizer.ggml.scores", scores).integers("tokenizer.ggml.token_type", types);
  return result.u32("tokenizer.ggml.unknown_token_id", 0);
}

TEST(GgufTokenizer, ReadsVocabulariesOfSentencePiece) { expect_golden(*load(scored_file()), "sentencepiece_bpe"); }

TEST(GgufTokenizer, PutsTheNamedTokensAroundATextWhenAsked) {
  GgufBytes file = scored_file();
  file.u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", 2);
  auto tokenizer = load(file);  // llama.cpp's default: BOS only
  EXPECT_EQ(tokenizer->encode(""), (Ids{1}));
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  file.boolean("tokenizer.ggml.add_bos_token", false).boolean("tokenizer.ggml.add_eos_token", true);
  EXPECT_EQ(load(file)->encode(""), (Ids{2}));
  GgufBytes byte_level = byte_level_file("gpt2", "gpt-2");
  byte_level.u32("tokenizer.ggml.bos_token_id", 1);
  EXPECT_EQ(load(byte_level)->encode(""), Ids{});
}

TEST(GgufTokenizer, GoesWithoutTheLeadingBlankWhenAsked) {
  GgufBytes file = scored_file();
  const auto with = load(file);
  file.boolean("tokenizer.ggml.add_space_prefix", false);
  const auto without = load(file);
  EXPECT_EQ(without->encode(" the", false), with->encode("the", false));
  EXPECT_EQ(without->decode(without->encode(" the", false)), " the");
  EXPECT_EQ(with->decode(with->encode("the", false)), "the");
}

TEST(GgufTokenizer, LoadsFromAFile) {
  const testing_support::TemporaryFolder folder;
  write_file_atomically(folder / "model.gguf", as_bytes(scored_file().bytes()));
  EXPECT_EQ(Tokenizer::load(folder / "model.gguf")->find_id("</s>"), 2);
}

TEST(GgufTokenizer, RefusesWhatIsMissingOrUnknown) {
  EXPECT_THAT(refused(GgufBytes()), HasSubstr("tokenizer.ggml.tokens"));
  EXPECT_THAT(refused(byte_level_file("gpt2", "imaginary")), HasSubstr("imaginary"));
  GgufBytes unigram;
  unigram.text("tokenizer.ggml.model", "t5").texts("tokenizer.ggml.tokens", {"a"});
  EXPECT_THAT(refused(unigram), HasSubstr("t5"));
  GgufBytes types;
  types.text("tokenizer.ggml.model", "gpt2").texts("tokenizer.ggml.tokens", {"a"});
  types.integers("tokenizer.ggml.token_type", {1, 1});
  EXPECT_THAT(refused(types), HasSubstr("token_type"));
  GgufBytes scores;
  scores.text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", {"a", "b"});
  scores.floats("tokenizer.ggml.scores", {1.0F});
  EXPECT_THAT(refused(scores), HasSubstr("scores"));
  GgufBytes nan;
  nan.text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", {"a"});
  nan.floats("tokenizer.ggml.scores", {std::numeric_limits<float>::quiet_NaN()});
  EXPECT_THAT(refused(nan), HasSubstr("finite"));
  GgufBytes bos = scored_file();
  bos.u32("tokenizer.ggml.bos_token_id", 100000);
  EXPECT_THAT(refused(bos), HasSubstr("bos_token_id"));
  GgufBytes merges;
  merges.text("tokenizer.ggml.model", "gpt2").texts("tokenizer.ggml.tokens", {"a"}).text("tokenizer.ggml.pre", "gpt-2");
  merges.texts("tokenizer.ggml.merges", {"ab"});
  EXPECT_THAT(refused(merges), HasSubstr("ab"));
}

}  // namespace
}  // namespace kinglet
