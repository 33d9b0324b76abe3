// The small model of the Game of 24 that is a part of the program, as the two ExCP containers of its folder
// (excp/packed_folder.h): trained by recipes/game24.toml, made again by scripts/make-game24-model.
#pragma once

#include <array>

#include "kinglet/base/files.h"

namespace kinglet::fot {

inline constexpr const char* kGame24ModelName = "kinglet-game24";

// The key frame, then the weights. They live as long as the program.
std::array<ByteView, 2> game24_model();

}  // namespace kinglet::fot
