// A flat array of floating-point numbers inside a mapped file, read as fp32.
#pragma once

#include <cstdint>
#include <span>

#include "kinglet/base/files.h"
#include "kinglet/io/dtype.h"

namespace kinglet {

struct NumberArray {
  DType dtype = DType::kF32;  // F32, F16, BF16 or F64
  ByteView data;              // may be unaligned
  std::uint64_t size() const { return data.size() / item_size(dtype); }
};

// Whether NumberArray can hold it.
inline bool is_number_array(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF64;
}

// Elements [begin, begin + n) as fp32: in place when they are aligned F32, else converted into `scratch` ([n]).
const float* view_f32(const NumberArray& array, std::uint64_t begin, std::uint64_t n, float* scratch);
// Always copies. F64 is rounded to the nearest fp32.
void load_f32(const NumberArray& array, std::uint64_t begin, std::uint64_t n, float* out);
// Rounds fp32 values to `dtype` (nearest even) into `out` (n * item_size(dtype) bytes).
void store_f32(const float* values, std::uint64_t n, DType dtype, std::byte* out);

}  // namespace kinglet
