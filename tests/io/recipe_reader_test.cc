// Typed reading of recipes.
#include "kinglet/io/recipe_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::refusal;

RecipeReader reader_of(std::string_view text) { return RecipeReader(Recipe::parse(text, "/runs/r.toml")); }

TEST(RecipeReader, GivesValuesAndDefaults) {
  RecipeReader reader = reader_of(R"(
steps = 10
rate = 1
name = "n"
fast = true
kind = "cosine"
sizes = [1, 2]
weights = [0.5, 1]
words = ["a", "b"]
[optimizer]
lr = 1e-3
)");
  RecipeTable root = reader.root();
  EXPECT_EQ(root.integer("steps", 5), 10);
  EXPECT_EQ(root.number("rate", 0.5), 1.0);
  EXPECT_EQ(root.text("name", ""), "n");
  EXPECT_TRUE(root.boolean("fast", false));
  EXPECT_EQ(root.choice("kind", "linear", {"linear", "cosine"}), "cosine");
  EXPECT_THAT(root.integers("sizes", {}), ElementsAre(1, 2));
  EXPECT_THAT(root.numbers("weights", {}), ElementsAre(0.5, 1));
  EXPECT_THAT(root.texts("words", {}), ElementsAre("a", "b"));
  RecipeTable optimizer = root.table("optimizer");
  EXPECT_EQ(optimizer.need_number("lr", above(0)), 1e-3);
  EXPECT_EQ(optimizer.number("weight_decay", 0.1), 0.1);
  EXPECT_EQ(optimizer.integer("warm_up", 7), 7);
  EXPECT_EQ(optimizer.optional_number("clip"), std::nullopt);
  EXPECT_EQ(root.table("data").text("split", "train"), "train");
  reader.finish();
  EXPECT_EQ(reader.resolved_text(), R"(fast = true
kind = "cosine"
name = "n"
rate = 1.0
sizes = [1, 2]
steps = 10
weights = [0.5, 1.0]
words = ["a", "b"]

[data]
split = "train"

[optimizer]
lr = 0.001
warm_up = 7
weight_decay = 0.1
)");
}

TEST(RecipeReader, RefusesUnknownKeysWithASuggestion) {
  RecipeReader reader = reader_of("steps = 1\n\n[optimizer]\n  learing_rate = 1\n");
  RecipeTable root = reader.root();
  root.integer("steps", 1);
  RecipeTable optimizer = root.table("optimizer");
  optimizer.number("learning_rate", 1);
  optimizer.number("weight_decay", 1);
  EXPECT_EQ(refusal([&] { reader.finish(); }),
            "/runs/r.toml:4:3: unknown key 'learing_rate' in [optimizer] (did you mean 'learning_rate'?)");
}

TEST(RecipeReader, RefusesUnknownTablesAndCountsTheRest) {
  RecipeReader reader = reader_of("zzz = 1\n[optimiser]\nlr = 1\n");
  reader.root().table("optimizer");
  EXPECT_EQ(refusal([&] { reader.finish(); }),
            "/runs/r.toml:2:2: unknown table 'optimiser', and 1 more (did you mean 'optimizer'?)");
  RecipeReader other = reader_of("qqq = 1\n");
  other.root().integer("steps", 1);
  EXPECT_EQ(refusal([&] { other.finish(); }), "/runs/r.toml:1:1: unknown key 'qqq' (known are steps)");
}

TEST(RecipeReader, RefusesWrongTypesAndRanges) {
  RecipeReader reader = reader_of("a = 1.5\nb = 'x'\nc = -1\nd = [1, 'x']\ne = nan\nf = inf\n[t]\n");
  RecipeTable root = reader.root();
  EXPECT_EQ(refusal([&] { root.integer("a", 1); }), "/runs/r.toml:1:1: a must be a whole number, not a number");
  EXPECT_EQ(refusal([&] { root.number("b", 1); }), "/runs/r.toml:2:1: b must be a number, not a text");
  EXPECT_EQ(refusal([&] { root.number("c", 1, above(0)); }), "/runs/r.toml:3:1: c is -1, must be above 0");
  EXPECT_EQ(refusal([&] { root.number("c", 1, from_up_to(0, 1)); }),
            "/runs/r.toml:3:1: c is -1, must be at least 0 and below 1");
  EXPECT_EQ(refusal([&] { root.integer("c", 1, {.least = 1, .most = 8}); }),
            "/runs/r.toml:3:1: c is -1, must be at least 1 and at most 8");
  EXPECT_EQ(refusal([&] { root.texts("d", {}); }), "/runs/r.toml:4:6: d must be a text, not a whole number");
  EXPECT_EQ(refusal([&] { root.numbers("a", {}); }), "/runs/r.toml:1:1: a must be a list of numbers, not a number");
  EXPECT_EQ(refusal([&] { root.number("e", 1); }), "/runs/r.toml:5:1: e is nan, must be finite");
  EXPECT_EQ(refusal([&] { root.number("f", 1); }), "/runs/r.toml:6:1: f is inf, must be finite");
  EXPECT_EQ(refusal([&] { root.boolean("b", true); }), "/runs/r.toml:2:1: b must be true or false, not a text");
  EXPECT_EQ(refusal([&] { root.table("b"); }), "/runs/r.toml:2:1: b must be a table, not a text");
  EXPECT_EQ(refusal([&] {
              root.choice("b", "y", {"xy", "z"});
            }),
            "/runs/r.toml:2:1: b is 'x', must be one of xy, z (did you mean 'xy'?)");
  EXPECT_EQ(refusal([&] { root.table("t").need_text("name"); }), "/runs/r.toml:7:2: t.name is missing (set it)");
  EXPECT_STREQ(root.refuse("b", "does not go with a").what(), "/runs/r.toml:2:1: b does not go with a");
}

TEST(RecipeReader, ResolvesPaths) {
  Recipe recipe = Recipe::parse("a = 'data/x'\nb = '/abs'\nc = '../y'\ne = ''\n", "/runs/r.toml");
  recipe.set("d=here");
  RecipeReader reader(std::move(recipe));
  RecipeTable root = reader.root();
  EXPECT_EQ(root.need_path("a"), "/runs/data/x");
  EXPECT_EQ(root.need_path("b"), "/abs");
  EXPECT_EQ(root.path("c", ""), "/y");
  EXPECT_EQ(root.need_path("d"), fs::current_path() / "here");
  EXPECT_EQ(root.path("missing", "default"), "default");
  EXPECT_THAT(refusal([&] { root.need_path("e"); }), HasSubstr("e must be a path, not an empty text"));
}

TEST(RecipeReader, TakesWhatLooksLikeANumberAsText) {
  Recipe recipe = Recipe::parse("plain = 1\n", "r.toml");
  recipe.set("name=007");
  recipe.set("run=12");
  recipe.set("optimizer.lr=-1");
  RecipeReader reader(std::move(recipe));
  RecipeTable root = reader.root();
  EXPECT_EQ(root.text("name", ""), "007");
  EXPECT_EQ(root.text("run", ""), "12");
  EXPECT_EQ(refusal([&] { root.text("plain", ""); }), "r.toml:1:1: plain must be a text, not a whole number");
  EXPECT_EQ(refusal([&] { root.table("optimizer").number("lr", 1, above(0)); }),
            "--set optimizer.lr: optimizer.lr is -1, must be above 0");
  EXPECT_THAT(reader.resolved_text(), HasSubstr("run = \"12\"\n"));
}

TEST(RecipeReader, ReadsListsOfTables) {
  RecipeReader reader = reader_of("[[data]]\npath = 'a'\n[[data]]\npath = 'b'\nwight = 2\n");
  RecipeTable root = reader.root();
  std::vector<std::string> names;
  for (RecipeTable& source : root.tables("data")) {
    names.push_back(source.need_text("path"));
    source.number("weight", 1);
  }
  EXPECT_THAT(names, ElementsAre("a", "b"));
  EXPECT_TRUE(root.tables("none").empty());
  EXPECT_EQ(reader.resolved_text(), "data = [{ path = \"a\", weight = 1.0 }, { path = \"b\", weight = 1.0 }]\n");
  EXPECT_EQ(refusal([&] { reader.finish(); }),
            "/runs/r.toml:5:1: unknown key 'wight' in [data] (did you mean 'weight'?)");
}

TEST(NearestName, IsNearOrNothing) {
  const std::vector<std::string> names = {"learning_rate", "lr", "seed", "steps"};
  EXPECT_EQ(nearest_name("learning_rat", names), "learning_rate");
  EXPECT_EQ(nearest_name("step", names), "steps");
  EXPECT_EQ(nearest_name("Lr", names), "lr");
  EXPECT_EQ(nearest_name("momentum", names), "");
  EXPECT_EQ(nearest_name("x", names), "");
  EXPECT_EQ(nearest_name("", names), "");
}

}  // namespace
}  // namespace kinglet
