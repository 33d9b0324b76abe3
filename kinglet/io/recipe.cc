#include "kinglet/io/recipe.h"

#include <algorithm>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"

namespace kinglet {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{256} << 10;
constexpr int kMaxDepth = 16;
// toml++ limits the depth of values, but not that of dotted keys, and takes its tree apart by recursion. Without a dot
// there is no dotted key, so the dots of the document bound the depth.
constexpr std::ptrdiff_t kMaxDots = 4096;

std::string place_of(std::string_view where, const toml::source_region& source) {
  return fmt::format("{}:{}:{}", where, source.begin.line, source.begin.column);
}

// From toml++'s tree to ours.
class Converter {
 public:
  explicit Converter(std::string_view where) : where_(where) {}

  RecipeValue table(const toml::table& from, std::string place, int depth) const {
    check_depth(place, depth);
    RecipeValue result{RecipeValue::Table(), std::move(place)};
    for (const auto& [key, node] : from) {
      result.table().emplace(std::string(key.str()), value(node, place_of(where_, key.source()), depth + 1));
    }
    return result;
  }

 private:
  static void check_depth(std::string_view place, int depth) {
    if (depth > kMaxDepth) throw bad_input(place, fmt::format("nested more than {} deep", kMaxDepth));
  }

  RecipeValue value(const toml::node& node, std::string place, int depth) const {
    if (const auto* from = node.as_table()) return table(*from, std::move(place), depth);
    if (const auto* from = node.as_array()) {
      check_depth(place, depth);
      RecipeValue::List list;
      for (const toml::node& element : *from) {
        list.push_back(value(element, place_of(where_, element.source()), depth + 1));
      }
      return {std::move(list), std::move(place)};
    }
    if (const auto* from = node.as_boolean()) return {from->get(), std::move(place)};
    if (const auto* from = node.as_integer()) return {from->get(), std::move(place)};
    if (const auto* from = node.as_floating_point()) return {from->get(), std::move(place)};
    if (const auto* from = node.as_string()) return {from->get(), std::move(place)};
    throw bad_input(place, "dates and times are not used in recipes", "write a text in quotes");
  }

  std::string_view where_;
};

toml::table parse_toml(std::string_view text, std::string_view where) {
  if (text.size() > kMaxBytes) {
    throw bad_input(where, fmt::format("{} bytes are too many for a recipe", text.size()),
                    fmt::format("at most {}", kMaxBytes));
  }
  if (std::count(text.begin(), text.end(), '.') > kMaxDots) {
    throw bad_input(where, fmt::format("more than {} dots, too many for a recipe", kMaxDots));
  }
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw bad_input(place_of(where, error.source()), fmt::format("not valid TOML: {}", error.description()));
  }
}

// What stands behind the '=' of --set.
RecipeValue parse_assigned(const std::string& text, const std::string& place) {
  RecipeValue result{text, place, text};
  toml::table parsed;
  try {
    parsed = parse_toml("value = " + text, place);
  } catch (const Error&) {
    return result;  // a text without quotes
  }
  if (parsed.size() != 1 || !parsed.contains("value")) return result;
  const auto& node = *parsed.get("value");
  if (node.is_date() || node.is_time() || node.is_date_time()) return result;
  result.content = Converter(place).table(parsed, place, 0).table().at("value").content;
  return result;
}

std::vector<std::string> split_key(std::string_view key, std::string_view place) {
  std::vector<std::string> parts(1);
  for (const char c : key) {
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  const auto bare = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  for (const std::string& part : parts) {
    if (part.empty() || !std::all_of(part.begin(), part.end(), bare)) {
      throw bad_input(place, "is no key", "write --set table.key=value");
    }
  }
  if (parts.size() > kMaxDepth) throw bad_input(place, fmt::format("nested more than {} deep", kMaxDepth));
  return parts;
}

}  // namespace

Recipe Recipe::parse(std::string_view text, std::string_view where) {
  Recipe recipe;
  recipe.where_ = where;
  recipe.root_ = Converter(where).table(parse_toml(text, where), recipe.where_, 0);
  return recipe;
}

Recipe Recipe::load(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path)) throw bad_input(path.string(), "no such recipe");
  return parse(as_text(read_file(path, kMaxBytes)), path.string());
}

void Recipe::set(std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    throw bad_input(fmt::format("--set {}", assignment), "has no '='", "write --set table.key=value");
  }
  const std::string place = fmt::format("--set {}", assignment.substr(0, equals));
  const std::string text(assignment.substr(equals + 1));
  if (printable(text) != text) throw bad_input(place, "the value holds control characters or invalid UTF-8");
  const std::vector<std::string> parts = split_key(assignment.substr(0, equals), place);
  RecipeValue* at = &root_;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    at = &at->table().try_emplace(parts[i], RecipeValue{RecipeValue::Table(), place}).first->second;
    if (!at->is_table()) throw bad_input(place, fmt::format("'{}' is a value in {}, no table", parts[i], at->place));
  }
  at->table()[parts.back()] = parse_assigned(text, place);
}

}  // namespace kinglet
