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

// The optimizer of checkpoints/loop-3.pt knows all weights but those of `frozen`, which has the shape of another layer:
// only a list of names tells them apart.
inline constexpr std::string_view kNamesOfLoop =
    "embed.weight\nnorm.weight\nnorm.bias\nhidden.0.weight\nhidden.0.bias\nhidden.1.weight\nhidden.1.bias\n";

}  // namespace kinglet::testing_support
