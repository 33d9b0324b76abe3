#include "kinglet/text/tokenizer_json.h"

#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"

namespace kinglet {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing_support::refusal;
using testing_support::TemporaryFolder;
using Ids = std::vector<TokenId>;

json small_file() {
  return json::parse(R"({"added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "decoder": null, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "c": 3}, "merges": ["a b"]}})");
}
json added(const std::string& content, const json& flags = json::object()) {
  json token = {{"id", 99}, {"content", content}, {"special", true}, {"normalized", false}};
  token.update(flags);
  return token;
}
std::unique_ptr<Tokenizer> load(const json& file) { return parse_tokenizer_json(file.dump(), "file"); }
std::string refused(const json& file) {
  return refusal([&] { load(file); });
}

TEST(TokenizerJson, EncodesAndNamesTokens) {
  const auto tokenizer = load(small_file());
  EXPECT_EQ(tokenizer->encode("abcab"), (Ids{2, 3, 2}));
  EXPECT_EQ(tokenizer->encode("axb"), (Ids{2}));  // without unk_token, unknown characters vanish
  EXPECT_EQ(tokenizer->vocabulary_size(), 4);
  EXPECT_EQ(tokenizer->find_id("ab"), 2);
  EXPECT_EQ(tokenizer->find_id("x"), std::nullopt);
  EXPECT_EQ(tokenizer->token(3), "c");
  EXPECT_EQ(tokenizer->decode(Ids{0, 1}), "a b");  // no decoder: blanks between tokens
  EXPECT_EQ(tokenizer->bos(), std::nullopt);
}

TEST(TokenizerJson, ReadsMergesInBothForms) {
  json file = small_file();
  file["model"]["merges"] = json::array({json::array({"a", "b"})});
  EXPECT_EQ(load(file)->encode("ab"), (Ids{2}));
  file["model"]["merges"] = {"#version: 0.2", "a b"};
  EXPECT_EQ(load(file)->encode("ab"), (Ids{2}));
}

TEST(TokenizerJson, GivesAddedTokensTheNextIds) {
  json file = small_file();
  file["added_tokens"] = {added("<x>"), added("b"), added("<y>"), added("<x>")};
  const auto tokenizer = load(file);
  EXPECT_EQ(tokenizer->encode("a<x>b<y>"), (Ids{0, 4, 1, 5}));
  EXPECT_EQ(tokenizer->vocabulary_size(), 6);
  EXPECT_TRUE(tokenizer->is_special(4));
  EXPECT_TRUE(tokenizer->is_special(1));
  EXPECT_FALSE(tokenizer->is_special(0));
  EXPECT_EQ(tokenizer->decode(Ids{0, 4, 3}), "a c");
  EXPECT_EQ(tokenizer->decode(Ids{0, 4, 3}, false), "a <x> c");
}

TEST(TokenizerJson, AppliesTheFlagsOfAddedTokens) {
  json file = small_file();
  file["model"]["vocab"][" "] = 4;
  file["added_tokens"] = {added("<l>", {{"lstrip", true}}), added("<r>", {{"rstrip", true}}),
                          added("ab", {{"single_word", true}}), added("<l>c")};
  const auto tokenizer = load(file);
  EXPECT_EQ(tokenizer->encode("a \n <l> b"), (Ids{0, 5, 4, 1}));
  EXPECT_EQ(tokenizer->encode("a <r> \n b"), (Ids{0, 4, 6, 1}));
  EXPECT_EQ(tokenizer->encode("ab cab"), (Ids{2, 4, 3, 2}));
  EXPECT_EQ(tokenizer->encode("<l>c<l>"), (Ids{7, 5}));  // the longest
}

TEST(TokenizerJson, LooksForNormalizedTokensInTheNormalizedText) {
  json file = small_file();
  file["normalizer"] = {{"type", "Lowercase"}};
  file["added_tokens"] = {added("CC", {{"normalized", true}}), added("BB")};
  const auto tokenizer = load(file);
  EXPECT_EQ(tokenizer->encode("aCcA"), (Ids{0, 4, 0}));
  EXPECT_EQ(tokenizer->encode("abbBB"), (Ids{2, 1, 5}));
}

TEST(TokenizerJson, ReplacesInvalidUtf8) {
  json file = small_file();
  file["model"]["vocab"]["\ufffd"] = 4;
  EXPECT_EQ(load(file)->encode("a\xFF\xE2\x82z"), (Ids{0, 4, 4}));
}

TEST(TokenizerJson, ToleratesOddVocabularies) {
  json file = small_file();
  file["model"]["vocab"] = {{"a", 0}, {"b", 0}, {"ab", 7}};  // an id twice, and holes
  const auto tokenizer = load(file);
  EXPECT_EQ(tokenizer->vocabulary_size(), 8);
  EXPECT_EQ(tokenizer->encode("ab"), (Ids{7}));
  EXPECT_EQ(tokenizer->token(5), "");
  EXPECT_EQ(tokenizer->decode(Ids{5, 7}), "ab");
}

TEST(TokenizerJson, RefusesDamagedModels) {
  json file = small_file();
  file["model"]["merges"] = {"a x"};
  EXPECT_THAT(refused(file), HasSubstr("'x'"));
  file["model"]["merges"] = {"b a"};
  EXPECT_THAT(refused(file), HasSubstr("'ba'"));
  for (const json& merges :
       {json("a b"), json::array({"ab"}), json::array({"a b c"}), json::array({1}), json::array({json::array({"a"})}),
        json::array({json::array({"a", "b", "ab"})}), json::array({json::array({json::array({"a", "b"})})})}) {
    file["model"]["merges"] = merges;
    refused(file);
  }
  for (const json& vocabulary :
       {json(1), json({{"a", "b"}}), json({{"a", 1.5}}), json({{"a", -1}}), json({{"a", 1 << 24}}),
        json({{"a", 18446744073709551615ULL}}), json::array({1}), json::array({{"a", "b"}}),
        json::array({json::array({1.0, "a"})}), json({{"a", json::object()}})}) {
    file = small_file();
    file["model"]["vocab"] = vocabulary;
    refused(file);
  }
  file = small_file();
  file["model"]["unk_token"] = "<unk>";
  EXPECT_THAT(refused(file), HasSubstr("<unk>"));
}

TEST(TokenizerJson, NamesWhatIsNotSupported) {
  json file = small_file();
  file["model"]["type"] = "WordPiece";
  EXPECT_THAT(refused(file), HasSubstr("WordPiece"));
  for (const char* part : {"normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
    file = small_file();
    file[part] = {{"type", "Imaginary"}};
    EXPECT_THAT(refused(file), HasSubstr("Imaginary"));
    EXPECT_THAT(refused(file), HasSubstr(part));
    file[part] = {{"kind", "Strip"}};
    refused(file);
    file[part] = 3;
    refused(file);
  }
}

TEST(TokenizerJson, RefusesTextThatIsNoTokenizer) {
  for (const std::string text :
       {"", "[]", "{}", "{\"model\": 1}", "{\"model\": {}}", "nonsense", "{\"model\":", "{\"a\": 1e999}", "{} x"}) {
    refusal([&] { parse_tokenizer_json(text, "file"); });
  }
  refusal([] { parse_tokenizer_json(std::string("{}\0", 3), "file"); });
  EXPECT_THAT(refusal([] { parse_tokenizer_json(std::string(100000, '['), "file"); }), HasSubstr("deep"));
  std::string nested = "{\"normalizer\": ";
  for (int i = 0; i < 1000; ++i) nested += "{\"type\": \"Sequence\", \"normalizers\": [";
  EXPECT_THAT(refusal([&] { parse_tokenizer_json(nested, "file"); }), HasSubstr("deep"));
}

TEST(TokenizerJson, RefusesTemplatesWithUnknownIds) {
  json file = small_file();
  file["post_processor"] = json::parse(R"({"type": "TemplateProcessing", "single": [
    {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}})");
  const auto tokenizer = load(file);
  EXPECT_EQ(tokenizer->encode("a"), (Ids{3, 0}));
  EXPECT_EQ(tokenizer->encode("a", false), (Ids{0}));
  EXPECT_EQ(tokenizer->bos(), 3);
  file["post_processor"]["special_tokens"]["<s>"]["ids"] = {4};
  EXPECT_THAT(refused(file), HasSubstr("4"));
}

TEST(TokenizerJson, KeepsMergesOfLongWordsEqualToThoseOfShortOnes) {
  const auto tokenizer = Tokenizer::load(std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text/gpt2.json");
  // A long word is merged with a queue, its parts by scanning; blanks in between keep the parts apart.
  const std::string part = "wisdomfoolishnessincredulity";
  Ids expected = tokenizer->encode(part, false);
  std::string text = part;
  const Ids again = tokenizer->encode("\n" + part, false);
  for (int i = 0; i < 4; ++i) {
    text += "\n" + part;
    expected.insert(expected.end(), again.begin(), again.end());
  }
  EXPECT_EQ(tokenizer->encode(text, false), expected);
}

// Folders.

void write(const std::filesystem::path& path, const std::string& text) { write_file_atomically(path, as_bytes(text)); }

TEST(TokenizerLoad, ReadsTheNamesBesideTheFile) {
  const TemporaryFolder folder;
  json file = small_file();
  file["added_tokens"] = {added("<s>"), added("</s>"), added("<pad>")};
  write(folder / "tokenizer.json", file.dump());
  write(folder / "tokenizer_config.json",
        R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": null, "add_bos_token": true})");
  write(folder / "special_tokens_map.json", R"({"pad_token": "<pad>"})");
  const auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer->bos(), 4);
  EXPECT_EQ(tokenizer->eos(), 5);
  EXPECT_EQ(tokenizer->padding(), 6);
}

TEST(TokenizerLoad, SaysWhatAFolderLacks) {
  const TemporaryFolder folder;
  EXPECT_THAT(refusal([&] { Tokenizer::load(folder.path()); }), HasSubstr("tokenizer.json"));
  refusal([&] { Tokenizer::load(folder / "missing.json"); });
  write(folder / "tokenizer.json", "");
  EXPECT_THAT(refusal([&] { Tokenizer::load(folder.path()); }), HasSubstr("empty"));
  write(folder / "tokenizer.json", small_file().dump());
  write(folder / "tokenizer_config.json", R"({"bos_token": 3})");
  EXPECT_THAT(refusal([&] { Tokenizer::load(folder.path()); }), HasSubstr("bos_token"));
}

}  // namespace
}  // namespace kinglet
