// What a reader of recipes remembers about one table: what the document says, what was asked for, what came out.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kinglet/io/recipe_table.h"

namespace kinglet {

struct RecipeTable::Node {
  Node(const RecipeValue* value, std::string where, const std::filesystem::path& start)
      : said(value), place(std::move(where)), folder(start) {}

  const RecipeValue* said;  // a table of the document; null when it has none here
  std::string place;
  std::filesystem::path folder;              // where relative paths start
  std::set<std::string, std::less<>> known;  // every key that was asked for
  RecipeValue::Table resolved;               // values; the tables are below
  std::map<std::string, std::unique_ptr<Node>, std::less<>> tables;
  std::map<std::string, std::vector<std::unique_ptr<Node>>, std::less<>> lists;
};

}  // namespace kinglet
