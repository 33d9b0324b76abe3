// One table of a recipe, read setting by setting, each with its type, default and range.
//
// Every getter raises Error (bad input), with the place in the document, for a value of another type or out of range;
// the `need_` ones also for a missing key, the `optional_` ones have no default. A whole number counts as a number, not
// the other way round. What is read becomes part of the resolved recipe. Not for use from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kinglet/base/error.h"
#include "kinglet/io/recipe.h"

namespace kinglet {

// Numbers that a setting may have; never NaN.
struct NumberRange {
  double least = std::numeric_limits<double>::lowest();
  double most = std::numeric_limits<double>::max();
  bool without_least = false;  // `least` itself is out of range
  bool without_most = false;
};
inline NumberRange at_least(double least) { return {.least = least}; }
inline NumberRange above(double least) { return {.least = least, .without_least = true}; }
inline NumberRange between(double least, double most) { return {.least = least, .most = most}; }
inline NumberRange from_up_to(double least, double end) { return {.least = least, .most = end, .without_most = true}; }

struct IntegerRange {
  std::int64_t least = std::numeric_limits<std::int64_t>::min();
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
};

// One table of the recipe; a cheap handle that must not outlive its reader.
class RecipeTable {
 public:
  bool has(std::string_view key) const;
  std::string place(std::string_view key) const;     // of the key, or of the table when the key is missing: for errors
  const std::string& path() const { return path_; }  // "optimizer"; empty at the top

  RecipeTable table(std::string_view key);                // an empty one when missing
  std::vector<RecipeTable> tables(std::string_view key);  // [[key]]; none when missing

  double number(std::string_view key, double standard, NumberRange range = {});
  std::int64_t integer(std::string_view key, std::int64_t standard, IntegerRange range = {});
  bool boolean(std::string_view key, bool standard);
  std::string text(std::string_view key, std::string_view standard);
  std::string choice(std::string_view key, std::string_view standard, const std::vector<std::string>& choices);
  // Relative paths of the document are meant from its folder, those of --set from the current one; the result is
  // absolute. `standard` is given back as it is.
  std::filesystem::path path(std::string_view key, const std::filesystem::path& standard);

  double need_number(std::string_view key, NumberRange range = {});
  std::int64_t need_integer(std::string_view key, IntegerRange range = {});
  std::string need_text(std::string_view key);
  std::string need_choice(std::string_view key, const std::vector<std::string>& choices);
  std::filesystem::path need_path(std::string_view key);

  std::optional<double> optional_number(std::string_view key, NumberRange range = {});
  std::optional<std::int64_t> optional_integer(std::string_view key, IntegerRange range = {});
  std::optional<bool> optional_boolean(std::string_view key);
  std::optional<std::string> optional_text(std::string_view key);
  std::optional<std::string> optional_choice(std::string_view key, const std::vector<std::string>& choices);
  std::optional<std::filesystem::path> optional_path(std::string_view key);

  // Lists; the range holds for every element.
  std::vector<double> numbers(std::string_view key, const std::vector<double>& standard, NumberRange range = {});
  std::vector<std::int64_t> integers(std::string_view key, const std::vector<std::int64_t>& standard,
                                     IntegerRange range = {});
  std::vector<std::string> texts(std::string_view key, const std::vector<std::string>& standard);
  std::vector<std::filesystem::path> paths(std::string_view key);  // also one path without a list; none when missing

  // Refuses a combination of settings that only the caller can judge: what `key` says does not go.
  Error refuse(std::string_view key, std::string_view what, std::string_view remedy = {}) const;

 private:
  friend class RecipeReader;
  friend struct RecipeTree;
  struct Node;  // what the document says, what was asked, what came out

  RecipeTable(Node& node, std::string path) : node_(&node), path_(std::move(path)) {}
  const RecipeValue* find(std::string_view key) const;
  const RecipeValue* ask(std::string_view key);  // find(), and the key is known from now on
  Error wrong_type(const RecipeValue& value, std::string_view key, std::string_view wanted) const;
  void need(std::string_view key) const;
  std::string name_of(std::string_view key) const;
  double check(const RecipeValue& value, std::string_view key, const NumberRange& range) const;
  std::int64_t check(const RecipeValue& value, std::string_view key, const IntegerRange& range) const;
  std::string text_of(const RecipeValue& value, std::string_view key) const;
  std::filesystem::path path_of(const RecipeValue& value, std::string_view key, bool typed) const;
  const RecipeValue::List& list_of(const RecipeValue& value, std::string_view key, std::string_view wanted) const;
  template <typename T>
  T keep(std::string_view key, T value);  // in the resolved recipe
  template <typename T>
  std::vector<T> keep_list(std::string_view key, std::vector<T> values);

  Node* node_;
  std::string path_;
};

// The candidate with the fewest edits to `word`, if so few that it is likely to be meant; else empty.
std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace kinglet
