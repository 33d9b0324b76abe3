#include "kinglet/io/recipe_table.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kinglet/io/recipe_node.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

std::string join_path(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

std::string type_name(const RecipeValue& value) {
  struct Names {
    std::string operator()(const RecipeValue::Table&) const { return "a table"; }
    std::string operator()(const RecipeValue::List&) const { return "a list"; }
    std::string operator()(bool) const { return "a truth value"; }
    std::string operator()(std::int64_t) const { return "a whole number"; }
    std::string operator()(double) const { return "a number"; }
    std::string operator()(const std::string&) const { return "a text"; }
  };
  return std::visit(Names(), value.content);
}

std::string describe(const NumberRange& range) {
  std::string text;
  if (range.least > std::numeric_limits<double>::lowest()) {
    text = fmt::format("{} {}", range.without_least ? "above" : "at least", range.least);
  }
  if (range.most < std::numeric_limits<double>::max()) {
    text += fmt::format("{}{} {}", text.empty() ? "" : " and ", range.without_most ? "below" : "at most", range.most);
  }
  return text.empty() ? "finite" : text;
}

std::string describe(const IntegerRange& range) {
  std::string text;
  if (range.least > std::numeric_limits<std::int64_t>::min()) text = fmt::format("at least {}", range.least);
  if (range.most < std::numeric_limits<std::int64_t>::max()) {
    text += fmt::format("{}at most {}", text.empty() ? "" : " and ", range.most);
  }
  return text;
}

std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t fewest = std::max<std::size_t>(1, word.size() / 3) + 1;
  if (word.size() > 64) return best;
  for (const std::string& candidate : candidates) {
    const std::size_t edits = edits_between(word, candidate);
    if (edits < fewest && edits < candidate.size()) {
      fewest = edits;
      best = candidate;
    }
  }
  return best;
}

// ---- one table -------------------------------------------------------------------------------------------------

const RecipeValue* RecipeTable::find(std::string_view key) const {
  if (node_->said == nullptr) return nullptr;
  const auto found = node_->said->table().find(std::string(key));
  return found == node_->said->table().end() ? nullptr : &found->second;
}

const RecipeValue* RecipeTable::ask(std::string_view key) {
  node_->known.emplace(key);
  return find(key);
}

bool RecipeTable::has(std::string_view key) const { return find(key) != nullptr; }

std::string RecipeTable::place(std::string_view key) const {
  const RecipeValue* const value = find(key);
  return value == nullptr ? node_->place : value->place;
}

std::string RecipeTable::name_of(std::string_view key) const { return join_path(path_, key); }

Error RecipeTable::refuse(std::string_view key, std::string_view what, std::string_view remedy) const {
  return bad_input(place(key), fmt::format("{} {}", name_of(key), what), remedy);
}

Error RecipeTable::wrong_type(const RecipeValue& value, std::string_view key, std::string_view wanted) const {
  return bad_input(value.place, fmt::format("{} must be {}, not {}", name_of(key), wanted, type_name(value)));
}

void RecipeTable::need(std::string_view key) const {
  if (!has(key)) throw bad_input(node_->place, fmt::format("{} is missing", name_of(key)), "set it");
}

RecipeTable RecipeTable::table(std::string_view key) {
  const RecipeValue* const value = ask(key);
  if (value != nullptr && !value->is_table()) throw wrong_type(*value, key, "a table");
  auto& node = node_->tables[std::string(key)];
  if (!node) node = std::make_unique<Node>(value, place(key), node_->folder);
  return {*node, name_of(key)};
}

std::vector<RecipeTable> RecipeTable::tables(std::string_view key) {
  const RecipeValue* const value = ask(key);
  if (value == nullptr) return {};
  auto& nodes = node_->lists[std::string(key)];
  const RecipeValue::List& list = list_of(*value, key, "a list of tables");
  for (std::size_t i = nodes.size(); i < list.size(); ++i) {
    if (!list[i].is_table()) throw wrong_type(list[i], key, "a list of tables");
    nodes.push_back(std::make_unique<Node>(&list[i], list[i].place, node_->folder));
  }
  std::vector<RecipeTable> result;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    result.push_back({*nodes[i], fmt::format("{}[{}]", name_of(key), i)});
  }
  return result;
}

template <typename T>
T RecipeTable::keep(std::string_view key, T value) {
  node_->known.emplace(key);
  node_->resolved[std::string(key)] = {value, place(key)};
  return value;
}

template <typename T>
std::vector<T> RecipeTable::keep_list(std::string_view key, std::vector<T> values) {
  RecipeValue::List list;
  for (const T& value : values) list.push_back({value, place(key)});
  keep(key, std::move(list));
  return values;
}

double RecipeTable::check(const RecipeValue& value, std::string_view key, const NumberRange& range) const {
  double number = 0;
  if (const auto* whole = std::get_if<std::int64_t>(&value.content))
    number = static_cast<double>(*whole);
  else if (const auto* real = std::get_if<double>(&value.content))
    number = *real;
  else
    throw wrong_type(value, key, "a number");
  const bool enough = range.without_least ? number > range.least : number >= range.least;
  const bool small = range.without_most ? number < range.most : number <= range.most;
  if (!enough || !small) {
    throw bad_input(value.place, fmt::format("{} is {}, must be {}", name_of(key), number, describe(range)));
  }
  return number;
}

std::int64_t RecipeTable::check(const RecipeValue& value, std::string_view key, const IntegerRange& range) const {
  const auto* number = std::get_if<std::int64_t>(&value.content);
  if (number == nullptr) throw wrong_type(value, key, "a whole number");
  if (*number < range.least || *number > range.most) {
    throw bad_input(value.place, fmt::format("{} is {}, must be {}", name_of(key), *number, describe(range)));
  }
  return *number;
}

// A value of --set that looks like a number is a text all the same when a text is asked for.
std::string RecipeTable::text_of(const RecipeValue& value, std::string_view key) const {
  if (const auto* text = std::get_if<std::string>(&value.content)) return *text;
  if (value.spelled) return *value.spelled;
  throw wrong_type(value, key, "a text");
}

const RecipeValue::List& RecipeTable::list_of(const RecipeValue& value, std::string_view key,
                                              std::string_view wanted) const {
  const auto* list = std::get_if<RecipeValue::List>(&value.content);
  if (list == nullptr) throw wrong_type(value, key, wanted);
  return *list;
}

// ---- values that may be missing --------------------------------------------------------------------------------

std::optional<double> RecipeTable::optional_number(std::string_view key, NumberRange range) {
  const RecipeValue* const value = ask(key);
  if (value == nullptr) return std::nullopt;
  return keep(key, check(*value, key, range));
}

std::optional<std::int64_t> RecipeTable::optional_integer(std::string_view key, IntegerRange range) {
  const RecipeValue* const value = ask(key);
  if (value == nullptr) return std::nullopt;
  return keep(key, check(*value, key, range));
}

std::optional<bool> RecipeTable::optional_boolean(std::string_view key) {
  const RecipeValue* const value = ask(key);
  if (value == nullptr) return std::nullopt;
  const auto* truth = std::get_if<bool>(&value->content);
  if (truth == nullptr) throw wrong_type(*value, key, "true or false");
  return keep(key, *truth);
}

std::optional<std::string> RecipeTable::optional_text(std::string_view key) {
  const RecipeValue* const value = ask(key);
  if (value == nullptr) return std::nullopt;
  return keep(key, text_of(*value, key));
}

std::optional<std::string> RecipeTable::optional_choice(std::string_view key, const std::vector<std::string>& choices) {
  const RecipeValue* const value = ask(key);
  if (value == nullptr) return std::nullopt;
  const std::string text = text_of(*value, key);
  if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
    const std::string near = nearest_name(text, choices);
    throw bad_input(value->place,
                    fmt::format("{} is '{}', must be one of {}", name_of(key), text, fmt::join(choices, ", ")),
                    near.empty() ? near : fmt::format("did you mean '{}'?", near));
  }
  return keep(key, text);
}

fs::path RecipeTable::path_of(const RecipeValue& value, std::string_view key, bool typed) const {
  const std::string text = text_of(value, key);
  if (text.empty() || text.find('\0') != std::string::npos) throw refuse(key, "must be a path, not an empty text");
  fs::path path = text;
  // --set is typed where the user stands.
  if (path.is_relative() && !typed) path = node_->folder / path;
  return fs::absolute(path).lexically_normal();
}

std::optional<fs::path> RecipeTable::optional_path(std::string_view key) {
  const RecipeValue* const value = ask(key);
  if (value == nullptr) return std::nullopt;
  fs::path path = path_of(*value, key, value->spelled.has_value());
  keep(key, path.string());
  return path;
}

// ---- values with a default, and values that must be there ------------------------------------------------------

double RecipeTable::number(std::string_view key, double standard, NumberRange range) {
  const auto value = optional_number(key, range);
  return value ? *value : keep(key, standard);
}
std::int64_t RecipeTable::integer(std::string_view key, std::int64_t standard, IntegerRange range) {
  const auto value = optional_integer(key, range);
  return value ? *value : keep(key, standard);
}
bool RecipeTable::boolean(std::string_view key, bool standard) {
  const auto value = optional_boolean(key);
  return value ? *value : keep(key, standard);
}
std::string RecipeTable::text(std::string_view key, std::string_view standard) {
  const auto value = optional_text(key);
  return value ? *value : keep(key, std::string(standard));
}
std::string RecipeTable::choice(std::string_view key, std::string_view standard,
                                const std::vector<std::string>& choices) {
  const auto value = optional_choice(key, choices);
  return value ? *value : keep(key, std::string(standard));
}
fs::path RecipeTable::path(std::string_view key, const fs::path& standard) {
  const auto value = optional_path(key);
  return value ? *value : fs::path(keep(key, standard.string()));
}

double RecipeTable::need_number(std::string_view key, NumberRange range) {
  need(key);
  return *optional_number(key, range);
}
std::int64_t RecipeTable::need_integer(std::string_view key, IntegerRange range) {
  need(key);
  return *optional_integer(key, range);
}
std::string RecipeTable::need_text(std::string_view key) {
  need(key);
  return *optional_text(key);
}
std::string RecipeTable::need_choice(std::string_view key, const std::vector<std::string>& choices) {
  need(key);
  return *optional_choice(key, choices);
}
fs::path RecipeTable::need_path(std::string_view key) {
  need(key);
  return *optional_path(key);
}

std::vector<double> RecipeTable::numbers(std::string_view key, const std::vector<double>& standard, NumberRange range) {
  const RecipeValue* const value = ask(key);
  if (value == nullptr) return keep_list(key, standard);
  std::vector<double> result;
  for (const RecipeValue& one : list_of(*value, key, "a list of numbers")) result.push_back(check(one, key, range));
  return keep_list(key, std::move(result));
}
std::vector<std::int64_t> RecipeTable::integers(std::string_view key, const std::vector<std::int64_t>& standard,
                                                IntegerRange range) {
  const RecipeValue* const value = ask(key);
  if (value == nullptr) return keep_list(key, standard);
  std::vector<std::int64_t> result;
  for (const RecipeValue& one : list_of(*value, key, "a list of whole numbers")) {
    result.push_back(check(one, key, range));
  }
  return keep_list(key, std::move(result));
}
std::vector<std::string> RecipeTable::texts(std::string_view key, const std::vector<std::string>& standard) {
  const RecipeValue* const value = ask(key);
  if (value == nullptr) return keep_list(key, standard);
  std::vector<std::string> result;
  for (const RecipeValue& one : list_of(*value, key, "a list of texts")) result.push_back(text_of(one, key));
  return keep_list(key, std::move(result));
}

std::vector<fs::path> RecipeTable::paths(std::string_view key) {
  const RecipeValue* const value = ask(key);
  if (value == nullptr) return {};
  const bool typed = value->spelled.has_value();
  std::vector<fs::path> result;
  if (std::holds_alternative<std::string>(value->content)) {
    result.push_back(path_of(*value, key, typed));
  } else {
    for (const RecipeValue& one : list_of(*value, key, "a path or a list of paths")) {
      result.push_back(path_of(one, key, typed));
    }
  }
  keep_list(key, std::vector<std::string>(result.begin(), result.end()));
  return result;
}

}  // namespace kinglet
