// Typed reading of recipes: settings with defaults and ranges, and nothing that nobody asked for.
//
//   RecipeReader reader(Recipe::load("train.toml"));
//   RecipeTable optimizer = reader.root().table("optimizer");
//   const double rate = optimizer.number("lr", 1e-3, above(0));
//   reader.finish();                            // "train.toml:7:1: unknown key 'learning' in [optimizer] (...)"
//   write(run / "recipe.toml", reader.resolved_text());
#pragma once

#include <memory>
#include <string>

#include "kinglet/io/recipe.h"
#include "kinglet/io/recipe_table.h"

namespace kinglet {

class RecipeReader {
 public:
  explicit RecipeReader(Recipe recipe);
  ~RecipeReader();
  RecipeReader(const RecipeReader&) = delete;
  RecipeReader& operator=(const RecipeReader&) = delete;

  RecipeTable root();

  // Refuses keys and tables that no getter asked for, with the nearest known name. Call it when all is read.
  void finish() const;

  // Every setting that was asked for, defaults filled in: another reader gives the same settings from it.
  RecipeValue::Table resolved() const;
  std::string resolved_text() const;  // recipe_text(resolved())

 private:
  Recipe recipe_;
  std::unique_ptr<RecipeTable::Node> root_;
};

}  // namespace kinglet
