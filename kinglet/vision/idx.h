// IDX files: the array format of MNIST and Fashion-MNIST, plain or gzip-compressed.
//
// Layout: two zero bytes | element type | number of dimensions | sizes (u32 big-endian) | elements (big-endian).
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "kinglet/base/files.h"

namespace kinglet {

// An array of unsigned bytes, row-major.
struct IdxArray {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> values;  // product of shape
};

// Raises Error (bad input) for a file that is damaged, too short or too long, or not of type unsigned byte.
IdxArray parse_idx(ByteView bytes, std::string_view where);
IdxArray read_idx(const std::filesystem::path& path);  // gzip is recognised by its signature

struct ImageSet {
  std::int64_t count = 0, height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  // [count, height, width], 0..255
  std::vector<std::uint8_t> labels;  // [count]
};

// `part` is "train" or "t10k": reads <part>-images-idx3-ubyte[.gz] and <part>-labels-idx1-ubyte[.gz].
ImageSet read_mnist(const std::filesystem::path& folder, std::string_view part);

}  // namespace kinglet
