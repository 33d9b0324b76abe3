// Small files for tests, from text.
#pragma once

#include <filesystem>
#include <fstream>
#include <string_view>

namespace kinglet::testing_support {

// Writes `content` to `path` and makes the folders above it.
inline void put(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

}  // namespace kinglet::testing_support
