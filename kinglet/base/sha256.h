// SHA-256 (FIPS 180-4): names for contents, where an accident or a forger must not make two contents share one name.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "kinglet/base/files.h"

namespace kinglet {

std::array<std::uint8_t, 32> sha256(ByteView bytes);
std::string sha256_hex(ByteView bytes);  // 64 lower-case digits

}  // namespace kinglet
