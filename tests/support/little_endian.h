// Numbers as the little-endian bytes of a file, in a std::string.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kinglet/base/files.h"

namespace kinglet::testing_support {

inline std::string le(std::uint64_t value, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < std::min<std::size_t>(bytes, 8); ++i)
    text[i] = static_cast<char>(value >> (8 * i) & 0xFF);
  return text;
}

template <typename T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

inline std::string floats(const std::vector<float>& values) { return raw(values); }

}  // namespace kinglet::testing_support
