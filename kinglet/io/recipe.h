// Recipes: TOML documents with the settings of a run, as values that know where they were written.
//
// A document is at most 256 KiB; values nest at most 16 deep. docs/recipes.md says what users may write.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kinglet {

struct RecipeValue {
  using List = std::vector<RecipeValue>;
  using Table = std::map<std::string, RecipeValue>;

  std::variant<Table, List, bool, std::int64_t, double, std::string> content;
  std::string place;                        // for errors: "recipe.toml:3:1", or "--set optimizer.lr"
  std::optional<std::string> spelled = {};  // of --set: the characters as they were typed

  bool is_table() const { return std::holds_alternative<Table>(content); }
  Table& table() { return std::get<Table>(content); }
  const Table& table() const { return std::get<Table>(content); }
};

class Recipe {
 public:
  // `where` names the document in errors. Raises Error (bad input) with line and column for what is not TOML, for dates
  // and times, and for documents that are too large or too deep.
  static Recipe parse(std::string_view text, std::string_view where);
  static Recipe load(const std::filesystem::path& path);

  // "optimizer.lr=1e-3", as behind --set: sets or adds one key. What is no TOML value is taken as text, so that texts
  // need no quotes. Raises Error (bad input).
  void set(std::string_view assignment);

  const RecipeValue& root() const { return root_; }
  const std::string& where() const { return where_; }

 private:
  std::string where_;
  RecipeValue root_;
};

// Equal tables give equal texts, and parsing the text gives the table again: keys sorted, one a line, sub-tables as
// [headers] behind them.
std::string recipe_text(const RecipeValue::Table& table);
// One value as it stands behind "key = "; tables inline.
std::string recipe_text(const RecipeValue& value);

struct RecipeChange {
  std::string key;                           // "optimizer.lr"
  std::optional<std::string> before, after;  // recipe_text(); nothing when the key is missing there
};
// Every key whose value differs, sorted; lists count as one value.
std::vector<RecipeChange> compare_recipes(const RecipeValue::Table& before, const RecipeValue::Table& after);

}  // namespace kinglet
