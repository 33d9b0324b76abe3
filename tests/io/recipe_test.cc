// Recipes as documents: what is read, set, printed and compared.
#include "kinglet/io/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::put;
using testing_support::refusal;
using testing_support::TemporaryFolder;

std::string canonical(std::string_view text) { return recipe_text(Recipe::parse(text, "r.toml").root().table()); }
std::string refusal_of_recipe(std::string_view text) {
  return refusal([&] { Recipe::parse(text, "r.toml"); });
}

TEST(Recipe, CanonicalTextIsSortedAndReadsBack) {
  const std::string text = canonical(R"(
# a comment
steps = 1_000
name = 'a "quoted" text'
[optimizer]
lr = 1e-3
betas = [0.9, 0.95]
whole = 2.0
[model.attention]
heads = 0x10
causal = true
"odd key" = "tab\tline\nend\u0001\\"
[[data]]
path = "a"
[empty]
)");
  EXPECT_EQ(text, R"(data = [{ path = "a" }]
name = "a \"quoted\" text"
steps = 1000

[empty]

[model.attention]
causal = true
heads = 16
"odd key" = "tab\tline\nend\u0001\\"

[optimizer]
betas = [0.9, 0.95]
lr = 0.001
whole = 2.0
)");
  EXPECT_EQ(canonical(text), text);
}

TEST(Recipe, NumbersSurvive) {
  const std::string text =
      canonical("a = 1e-5\nb = 1e22\nc = inf\nd = -inf\ne = nan\nf = 0.1\ng = -0.0\nh = 123456789.0\n");
  EXPECT_EQ(canonical(text), text);
  EXPECT_THAT(text,
              HasSubstr("a = 1e-05\nb = 1e+22\nc = inf\nd = -inf\ne = nan\nf = 0.1\ng = -0.0\nh = 123456789.0\n"));
}

TEST(Recipe, SaysWhereTheTextIsWrong) {
  EXPECT_THAT(refusal_of_recipe("a = 1\nb = = 2\n"), StartsWith("r.toml:2:"));
  EXPECT_THAT(refusal_of_recipe("a = 1\na = 2\n"), StartsWith("r.toml:2:"));
  EXPECT_THAT(refusal_of_recipe("a = \"\xff\"\n"), StartsWith("r.toml:1:"));
  EXPECT_THAT(refusal_of_recipe("\n  when = 2020-01-01\n"), StartsWith("r.toml:2:3: dates and times"));
  EXPECT_THAT(refusal_of_recipe("a = 99999999999999999999\n"), StartsWith("r.toml:1:"));
}

TEST(Recipe, BoundsSizeAndDepth) {
  EXPECT_THAT(refusal_of_recipe(std::string(300 << 10, '\n')), HasSubstr("too many for a recipe"));
  std::string deep = "a";
  for (int i = 0; i < 17; ++i) deep += ".a";
  EXPECT_THAT(refusal_of_recipe(deep + " = 1\n"), HasSubstr("nested more than 16 deep"));
  for (int i = 0; i < 4000; ++i) deep += ".a";
  EXPECT_THAT(refusal_of_recipe("[" + deep + "]\n"), HasSubstr("nested more than 16 deep"));  // and no stack overflows
  for (int i = 0; i < 1000; ++i) deep += ".a";
  EXPECT_THAT(refusal_of_recipe("[" + deep + "]\n"), HasSubstr("4096 dots"));
  EXPECT_THAT(refusal_of_recipe("a = " + std::string(20, '[') + std::string(20, ']') + "\n"),
              HasSubstr("nested more than"));
  EXPECT_THAT(refusal_of_recipe("a = " + std::string(5000, '[')), StartsWith("r.toml:1:"));
}

TEST(Recipe, SetsKeys) {
  Recipe recipe = Recipe::parse("steps = 10\n[optimizer]\nlr = 1\n", "r.toml");
  recipe.set("optimizer.lr=1e-3");
  recipe.set("steps=20");
  recipe.set("model.path=some/folder");
  recipe.set("model.name=");
  recipe.set("model.sizes=[1, 2]");
  recipe.set("model.quoted=\"3\"");
  recipe.set("model.day=2020-01-01");
  recipe.set("model.equation=a=b");
  EXPECT_EQ(recipe_text(recipe.root().table()),
            "steps = 20\n\n[model]\nday = \"2020-01-01\"\nequation = \"a=b\"\nname = \"\"\npath = \"some/folder\"\n"
            "quoted = \"3\"\nsizes = [1, 2]\n\n[optimizer]\nlr = 0.001\n");
  EXPECT_THAT(refusal([&] { recipe.set("steps"); }), HasSubstr("has no '='"));
  EXPECT_THAT(refusal([&] { recipe.set("=1"); }), HasSubstr("is no key"));
  EXPECT_THAT(refusal([&] { recipe.set("a..b=1"); }), HasSubstr("is no key"));
  EXPECT_THAT(refusal([&] { recipe.set("a b=1"); }), HasSubstr("is no key"));
  EXPECT_EQ(refusal([&] { recipe.set("steps.more=1"); }),
            "--set steps.more: 'steps' is a value in --set steps, no table");
  EXPECT_THAT(refusal([&] { recipe.set("a=1\nb=2"); }), HasSubstr("control characters"));
  EXPECT_THAT(refusal([&] { recipe.set("a=" + std::string(20, '[') + std::string(20, ']')); }), HasSubstr("nested"));
}

TEST(Recipe, LoadsFiles) {
  const TemporaryFolder folder;
  put(folder / "r.toml", "a = 1\n");
  EXPECT_EQ(recipe_text(Recipe::load(folder / "r.toml").root().table()), "a = 1\n");
  EXPECT_THAT(refusal([&] { Recipe::load(folder / "none.toml"); }), HasSubstr("no such recipe"));
}

TEST(Recipe, Compares) {
  const Recipe before = Recipe::parse("a = 1\nb = [1]\n[t]\nx = 1\ny = 'z'\n", "1");
  const Recipe after = Recipe::parse("a = 1.0\nb = [1]\n[t]\nx = 1\nz = 'z'\n[new]\n", "2");
  const auto changes = compare_recipes(before.root().table(), after.root().table());
  std::string text;
  for (const RecipeChange& change : changes) {
    text += change.key + ": " + change.before.value_or("-") + " -> " + change.after.value_or("-") + "\n";
  }
  EXPECT_EQ(text, "a: 1 -> 1.0\nnew: - -> {}\nt.y: \"z\" -> -\nt.z: - -> \"z\"\n");
}

}  // namespace
}  // namespace kinglet
