// The canonical text of recipes, and what differs between two of them.
#include <algorithm>

#include <fmt/format.h>

#include "kinglet/io/recipe.h"

namespace kinglet {
namespace {

std::string toml_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      result += {'\\', c};
    else if (c == '\n')
      result += "\\n";
    else if (c == '\t')
      result += "\\t";
    else if (code < 0x20 || code == 0x7F)
      result += fmt::format("\\u{:04X}", code);
    else
      result += c;
  }
  return result + '"';
}

std::string key_text(std::string_view key) {
  const auto bare = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !key.empty() && std::all_of(key.begin(), key.end(), bare) ? std::string(key) : toml_string(key);
}

std::string text_of(const RecipeValue::Table& table) {
  std::string result = "{";
  for (const auto& [key, value] : table) {
    result += fmt::format("{}{} = {}", result.size() == 1 ? " " : ", ", key_text(key), recipe_text(value));
  }
  return result + (table.empty() ? "}" : " }");
}
std::string text_of(const RecipeValue::List& list) {
  std::string result = "[";
  for (const RecipeValue& value : list) result += (result.size() == 1 ? "" : ", ") + recipe_text(value);
  return result + "]";
}
std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(std::int64_t value) { return fmt::format("{}", value); }
std::string text_of(double value) {
  std::string text = fmt::format("{}", value);  // the shortest that gives the same number
  if (text.ends_with("nan")) return "nan";
  return text.find_first_not_of("-0123456789") == std::string::npos ? text + ".0" : text;
}
std::string text_of(const std::string& value) { return toml_string(value); }

// `path`: of the table, as it stands in its header; empty at the top.
void append(const RecipeValue::Table& table, const std::string& path, std::string& out) {
  const bool only_tables = !table.empty() && std::all_of(table.begin(), table.end(),
                                                         [](const auto& entry) { return entry.second.is_table(); });
  if (!path.empty() && !only_tables) out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", path);
  for (const auto& [key, value] : table) {
    if (!value.is_table()) out += fmt::format("{} = {}\n", key_text(key), recipe_text(value));
  }
  for (const auto& [key, value] : table) {
    if (value.is_table()) append(value.table(), path.empty() ? key_text(key) : path + "." + key_text(key), out);
  }
}

void flatten(const RecipeValue::Table& table, const std::string& path, std::map<std::string, std::string>& out) {
  for (const auto& [key, value] : table) {
    const std::string place = path.empty() ? key_text(key) : path + "." + key_text(key);
    if (value.is_table() && !value.table().empty())
      flatten(value.table(), place, out);
    else
      out[place] = recipe_text(value);
  }
}

}  // namespace

std::string recipe_text(const RecipeValue& value) {
  return std::visit([](const auto& content) { return text_of(content); }, value.content);
}

std::string recipe_text(const RecipeValue::Table& table) {
  std::string text;
  append(table, "", text);
  return text;
}

std::vector<RecipeChange> compare_recipes(const RecipeValue::Table& before, const RecipeValue::Table& after) {
  std::map<std::string, std::string> old_values, new_values;
  flatten(before, "", old_values);
  flatten(after, "", new_values);
  std::map<std::string, RecipeChange> changes;
  for (const auto& [key, value] : old_values) changes[key] = {key, value, std::nullopt};
  for (const auto& [key, value] : new_values) {
    RecipeChange& change = changes[key];
    change.key = key;
    change.after = value;
  }
  std::vector<RecipeChange> result;
  for (const auto& [key, change] : changes) {
    if (change.before != change.after) result.push_back(change);
  }
  return result;
}

}  // namespace kinglet
