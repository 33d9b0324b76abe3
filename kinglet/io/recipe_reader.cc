#include "kinglet/io/recipe_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kinglet/base/error.h"
#include "kinglet/io/recipe_node.h"

namespace kinglet {

// Node is private to RecipeTable; this friend of both walks the tree.
struct RecipeTree {
  using Node = RecipeTable::Node;

  struct Unknown {
    const Node* node = nullptr;
    std::string path, key;
  };

  static void find_unknown(const Node& node, const std::string& path, std::vector<Unknown>& found) {
    if (node.said != nullptr) {
      for (const auto& [key, value] : node.said->table()) {
        if (!node.known.contains(key)) found.push_back({&node, path, key});
      }
    }
    const auto path_of = [&](const std::string& key) { return path.empty() ? key : fmt::format("{}.{}", path, key); };
    for (const auto& [key, child] : node.tables) find_unknown(*child, path_of(key), found);
    for (const auto& [key, children] : node.lists) {
      for (const auto& child : children) find_unknown(*child, path_of(key), found);
    }
  }

  static Error refusal(const Unknown& unknown, std::size_t others) {
    const RecipeValue& value = unknown.node->said->table().at(unknown.key);
    const std::vector<std::string> known(unknown.node->known.begin(), unknown.node->known.end());
    const std::string near = nearest_name(unknown.key, known);
    std::string remedy = fmt::format("did you mean '{}'?", near);
    if (near.empty()) remedy = known.empty() ? "remove it" : fmt::format("known are {}", fmt::join(known, ", "));
    return bad_input(value.place,
                     fmt::format("unknown {} '{}'{}{}", value.is_table() ? "table" : "key", unknown.key,
                                 unknown.path.empty() ? "" : fmt::format(" in [{}]", unknown.path),
                                 others == 0 ? "" : fmt::format(", and {} more", others)),
                     remedy);
  }

  static RecipeValue::Table resolve(const Node& node) {
    RecipeValue::Table result = node.resolved;
    for (const auto& [key, child] : node.tables) result[key] = {resolve(*child), child->place};
    for (const auto& [key, children] : node.lists) {
      RecipeValue::List list;
      for (const auto& child : children) list.push_back({resolve(*child), child->place});
      result[key] = {std::move(list), node.place};
    }
    return result;
  }
};

RecipeReader::RecipeReader(Recipe recipe) : recipe_(std::move(recipe)) {
  const std::filesystem::path folder = std::filesystem::path(recipe_.where()).parent_path();
  root_ = std::make_unique<RecipeTable::Node>(&recipe_.root(), recipe_.where(), folder);
}

RecipeReader::~RecipeReader() = default;

RecipeTable RecipeReader::root() { return {*root_, ""}; }

void RecipeReader::finish() const {
  std::vector<RecipeTree::Unknown> unknown;
  RecipeTree::find_unknown(*root_, "", unknown);
  if (!unknown.empty()) throw RecipeTree::refusal(unknown.front(), unknown.size() - 1);
}

RecipeValue::Table RecipeReader::resolved() const { return RecipeTree::resolve(*root_); }

std::string RecipeReader::resolved_text() const { return recipe_text(resolved()); }

}  // namespace kinglet
