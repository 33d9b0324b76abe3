// Files under tests/golden/io that PyTorch wrote, and what PyTorch reads from them.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

namespace kinglet::testing_support {

inline std::filesystem::path golden(std::string_view name) {
  return std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/io" / name;
}

inline nlohmann::ordered_json golden_json(std::string_view name) {
  std::ifstream file(golden(name));
  return nlohmann::ordered_json::parse(file);
}

}  // namespace kinglet::testing_support
