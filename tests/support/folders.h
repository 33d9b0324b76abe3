// Comparing folders of files, for tests of what a restore wrote.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace kinglet::testing_support {

// Relative path -> content of every regular file.
inline std::map<std::string, std::string> folder_content(const std::filesystem::path& root) {
  std::map<std::string, std::string> content;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) content[entry.path().lexically_relative(root).string()] = slurp(entry.path());
  }
  return content;
}

// Names of the files that differ or are in one folder only.
inline std::vector<std::string> different_files(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::map<std::string, std::string> first = folder_content(a), second = folder_content(b);
  std::vector<std::string> names;
  for (const auto& [name, content] : first) {
    const auto other = second.find(name);
    if (other == second.end() || other->second != content) names.push_back(name);
  }
  for (const auto& [name, content] : second) {
    if (!first.contains(name)) names.push_back(name);
  }
  return names;
}

}  // namespace kinglet::testing_support
