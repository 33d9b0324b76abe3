// A recipe: what is accepted has one canonical text, which reads back the same, also after typed reading.
#include "tests/fuzz/fuzz_target.h"

#include "kinglet/io/recipe_reader.h"

namespace kinglet::fuzz {
namespace {

RecipeValue::Table parse(std::string_view text) { return Recipe::parse(text, "input").root().table(); }

void check_text(const RecipeValue::Table& table) {
  const std::string text = recipe_text(table);
  RecipeValue::Table again;
  require(accepted([&] { again = parse(text); }), "the canonical text is a recipe");
  require(recipe_text(again) == text, "the canonical text is the same when read again");
  require(compare_recipes(table, again).empty(), "no key differs");
}

void read_some(RecipeTable table, int depth) {
  accepted([&] { table.number("a", 1, above(0)); });
  accepted([&] { table.integer("b", 1, {.least = 0}); });
  accepted([&] { table.text("c", "x"); });
  accepted([&] { table.boolean("d", true); });
  accepted([&] { table.choice("e", "x", {"x", "yes"}); });
  accepted([&] { table.path("f", ""); });
  accepted([&] { table.numbers("g", {1, 2}); });
  accepted([&] { table.integers("g", {}); });
  accepted([&] { table.texts("h", {"x"}); });
  if (depth == 0) return;
  accepted([&] { read_some(table.table("t"), depth - 1); });
  accepted([&] {
    for (const RecipeTable& one : table.tables("l")) read_some(one, depth - 1);
  });
}

void check_recipe(ByteView input) {
  const std::string_view text = as_text(input);
  accepted([&] {
    Recipe recipe = Recipe::parse("t.a = 1", "input");
    recipe.set(text);
    check_text(recipe.root().table());
  });
  Recipe recipe;
  if (!accepted([&] { recipe = Recipe::parse(text, "input"); })) return;
  check_text(recipe.root().table());
  RecipeReader reader(recipe);
  read_some(reader.root(), 2);
  accepted([&] { reader.finish(); });
  check_text(reader.resolved());
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(recipe, kinglet::fuzz::check_recipe)
