#include "kinglet/text/bpe_trainer.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {
namespace {

using nlohmann::json;

BpeTrainingOptions options(std::int64_t size, std::int64_t frequency, std::vector<std::string> special = {}) {
  BpeTrainingOptions result;
  result.vocabulary_size = size;
  result.minimum_frequency = frequency;
  result.special_tokens = std::move(special);
  return result;
}

TEST(BpeTrainer, LearnsWhatTheReferenceLearns) {
  const json expected = json::parse(
      as_text(read_file(std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text/expected/training.json")));
  BpeTrainer trainer(options(800, 0, {"<|endoftext|>", "<pad>"}));
  for (const json& text : expected.at("texts")) trainer.feed(text.get<std::string>());
  const json model = json::parse(trainer.train()).at("model");
  EXPECT_EQ(model.at("vocab"), expected.at("vocab"));
  EXPECT_EQ(model.at("merges"), expected.at("merges"));
}

TEST(BpeTrainer, MergesTheMostFrequentPairAndOfEqualOnesTheSmaller) {
  BpeTrainer trainer(options(259, 1));
  trainer.feed("cd cd ab ab");
  const json merges = json::parse(trainer.train()).at("model").at("merges");
  // " a" " c" "ab" "cd": words are "cd", " cd", " ab" twice, so "cd" and "ab" lead; "ab" has the smaller ids.
  ASSERT_EQ(merges.size(), 3U);
  EXPECT_EQ(merges[0], json::array({"a", "b"}));
  EXPECT_EQ(merges[1], json::array({"c", "d"}));
  EXPECT_EQ(merges[2], json::array({"\u0120", "ab"}));
}

TEST(BpeTrainer, DoesNotDependOnTheOrderOfTexts) {
  const std::vector<std::string> texts = {"the cat sat on the mat", "a cat is a cat", "on and on and on", "mat mat"};
  BpeTrainer forward(options(280, 1));
  BpeTrainer backward(options(280, 1));
  for (const auto& text : texts) forward.feed(text);
  for (auto text = texts.rbegin(); text != texts.rend(); ++text) backward.feed(*text);
  EXPECT_EQ(forward.train(), backward.train());
}

TEST(BpeTrainer, StopsWhenNoPairIsFrequentEnough) {
  BpeTrainer trainer(options(1000, 2));
  trainer.feed("abcdefg abcdefg xyz");
  const json model = json::parse(trainer.train()).at("model");
  EXPECT_GT(model.at("merges").size(), 5U);
  for (const json& merge : model.at("merges")) EXPECT_EQ(merge[0].get<std::string>().find('x'), std::string::npos);
}

TEST(BpeTrainer, WritesAFileThatLoads) {
  const testing_support::TemporaryFolder folder;
  BpeTrainer trainer(options(300, 1, {"<|end|>"}));
  trainer.feed("low lower lowest new newer newest low low \xFF caf\u00e9");
  trainer.write(folder.path() / "tokenizer.json");
  const auto tokenizer = Tokenizer::load(folder.path());
  const std::string text = "newest <|end|> lower \U0001f600";
  const auto ids = tokenizer->encode(text);
  EXPECT_EQ(tokenizer->decode(ids, false), text);
  EXPECT_EQ(tokenizer->find_id("<|end|>"), 0);
  EXPECT_TRUE(tokenizer->is_special(0));
  EXPECT_EQ(tokenizer->encode(" lower").size(), 1U);
}

TEST(BpeTrainer, TakesAPatternOfWords) {
  BpeTrainingOptions with_pattern = options(300, 1);
  with_pattern.pattern = R"(\p{N}|\p{L}+|\s+)";
  BpeTrainer trainer(with_pattern);
  trainer.feed("123123 123123");
  const json file = json::parse(trainer.train());
  EXPECT_TRUE(file.at("model").at("merges").empty());  // digits stand alone
  EXPECT_EQ(file.at("pre_tokenizer").at("pretokenizers")[0].at("pattern").at("Regex"), with_pattern.pattern);
}

TEST(BpeTrainer, RefusesWhatCannotBe) {
  EXPECT_THROW(BpeTrainer(options(255, 1)), Error);
  EXPECT_THROW(BpeTrainer(options(256, 1, {"<s>"})), Error);
  EXPECT_THROW(BpeTrainer(options(300, 1, {"<s>", "<s>"})), Error);
  EXPECT_THROW(BpeTrainer(options(300, 1, {""})), Error);
  BpeTrainingOptions bad = options(300, 1);
  bad.pattern = "(";
  EXPECT_THROW(BpeTrainer{bad}, Error);
  EXPECT_THROW(BpeTrainer(options(300, 1)).train(), Error);
}

}  // namespace
}  // namespace kinglet
