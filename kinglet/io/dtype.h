// Element types of tensors in files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kinglet {

enum class DType : std::uint8_t {
  kF64 = 0,
  kF32 = 1,
  kF16 = 2,
  kBF16 = 3,
  kI64 = 4,
  kI32 = 5,
  kI16 = 6,
  kI8 = 7,
  kU64 = 8,
  kU32 = 9,
  kU16 = 10,
  kU8 = 11,
  kBool = 12,
  kF8E4M3 = 13,
  kF8E5M2 = 14,
  kC64 = 15,
  kC128 = 16,
};

std::size_t item_size(DType dtype);                       // bytes per element
std::string_view dtype_name(DType dtype);                 // safetensors spelling: "F32", "BF16", ...
std::optional<DType> parse_dtype(std::string_view name);  // the same spelling
bool is_float(DType dtype);                               // F64, F32, F16, BF16, F8*

float half_to_float(std::uint16_t bits);
std::uint16_t float_to_half(float value);  // round to nearest even
inline float bfloat16_to_float(std::uint16_t bits);
std::uint16_t float_to_bfloat16(float value);  // round to nearest even; NaN stays NaN

}  // namespace kinglet

#include <bit>
inline float kinglet::bfloat16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
