#include "kinglet/io/number_array.h"

#include <cassert>
#include <cstring>

namespace kinglet {
namespace {

template <typename Stored, typename Convert>
void convert_from(const std::byte* data, std::uint64_t n, float* out, Convert convert) {
  for (std::uint64_t i = 0; i < n; ++i) {
    Stored stored;
    std::memcpy(&stored, data + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(stored);
  }
}

template <typename Stored, typename Convert>
void convert_to(const float* values, std::uint64_t n, std::byte* out, Convert convert) {
  for (std::uint64_t i = 0; i < n; ++i) {
    const Stored stored = convert(values[i]);
    std::memcpy(out + i * sizeof(Stored), &stored, sizeof(Stored));
  }
}

}  // namespace

void load_f32(const NumberArray& array, std::uint64_t begin, std::uint64_t n, float* out) {
  assert(begin + n <= array.size());
  const std::byte* data = array.data.data() + begin * item_size(array.dtype);
  switch (array.dtype) {
    case DType::kF32:
      std::memcpy(out, data, n * sizeof(float));
      break;
    case DType::kF16:
      convert_from<std::uint16_t>(data, n, out, half_to_float);
      break;
    case DType::kBF16:
      convert_from<std::uint16_t>(data, n, out, bfloat16_to_float);
      break;
    default:
      convert_from<double>(data, n, out, [](double value) { return static_cast<float>(value); });
      break;
  }
}

const float* view_f32(const NumberArray& array, std::uint64_t begin, std::uint64_t n, float* scratch) {
  const std::byte* data = array.data.data() + begin * item_size(array.dtype);
  if (array.dtype == DType::kF32 && reinterpret_cast<std::uintptr_t>(data) % alignof(float) == 0) {
    return reinterpret_cast<const float*>(data);
  }
  load_f32(array, begin, n, scratch);
  return scratch;
}

void store_f32(const float* values, std::uint64_t n, DType dtype, std::byte* out) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, values, n * sizeof(float));
      break;
    case DType::kF16:
      convert_to<std::uint16_t>(values, n, out, float_to_half);
      break;
    case DType::kBF16:
      convert_to<std::uint16_t>(values, n, out, float_to_bfloat16);
      break;
    default:
      convert_to<double>(values, n, out, [](float value) { return static_cast<double>(value); });
      break;
  }
}

}  // namespace kinglet
