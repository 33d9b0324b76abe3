// Where the small models stand that tests/golden/ makes.
#pragma once

#include <filesystem>

namespace kinglet::testing_support {

inline const std::filesystem::path kGoldenModels = std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/models";

}  // namespace kinglet::testing_support
