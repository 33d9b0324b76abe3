// A named tensor inside a mapped file: no ownership, no copy.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/io/dtype.h"

namespace kinglet {

struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  ByteView data;  // contiguous, row-major, little-endian, numel() * item_size(dtype) bytes; may be unaligned

  std::int64_t numel() const {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    return count;
  }
};

}  // namespace kinglet
