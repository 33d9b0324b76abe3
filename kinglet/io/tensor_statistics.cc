#include "kinglet/io/tensor_statistics.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kinglet/base/parallel.h"

namespace kinglet {
namespace {

constexpr std::uint64_t kBlockOfStatistics = std::uint64_t{1} << 18;  // elements

template <typename T>
double load_number(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return static_cast<double>(value);
}

template <typename T>
T load_bits(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// 4 exponent bits with bias 7, 3 mantissa bits, no infinities (OCP 8-bit floating point).
double float8_e4m3(std::uint8_t bits) {
  const int exponent = (bits >> 3) & 15;
  const int mantissa = bits & 7;
  double value = 0;
  if (exponent == 15 && mantissa == 7)
    value = std::numeric_limits<double>::quiet_NaN();
  else if (exponent == 0)
    value = std::ldexp(mantissa, -9);
  else
    value = std::ldexp(8 + mantissa, exponent - 10);
  return (bits & 0x80) != 0 ? -value : value;
}

double to_double(DType dtype, const std::byte* at) {
  switch (dtype) {
    case DType::kF64:
    case DType::kC128:
      return load_number<double>(at);
    case DType::kF32:
    case DType::kC64:
      return load_number<float>(at);
    case DType::kF16:
      return static_cast<double>(half_to_float(load_bits<std::uint16_t>(at)));
    case DType::kBF16:
      return static_cast<double>(bfloat16_to_float(load_bits<std::uint16_t>(at)));
    case DType::kI64:
      return load_number<std::int64_t>(at);
    case DType::kI32:
      return load_number<std::int32_t>(at);
    case DType::kI16:
      return load_number<std::int16_t>(at);
    case DType::kI8:
      return load_number<std::int8_t>(at);
    case DType::kU64:
      return load_number<std::uint64_t>(at);
    case DType::kU32:
      return load_number<std::uint32_t>(at);
    case DType::kU16:
      return load_number<std::uint16_t>(at);
    case DType::kU8:
      return load_number<std::uint8_t>(at);
    case DType::kBool:
      return load_bits<std::uint8_t>(at) != 0 ? 1 : 0;
    case DType::kF8E4M3:
      return float8_e4m3(load_bits<std::uint8_t>(at));
    case DType::kF8E5M2:  // the upper half of an IEEE half
      return static_cast<double>(half_to_float(static_cast<std::uint16_t>(load_bits<std::uint8_t>(at) << 8)));
  }
  return 0;
}

// values[i] = element begin + i of a contiguous array. The types of weights have their own loops.
void convert(DType dtype, const std::byte* data, std::uint64_t begin, std::vector<double>& values) {
  const std::byte* at = data + begin * item_size(dtype);
  if (dtype == DType::kF32) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = load_number<float>(at + 4 * i);
  } else if (dtype == DType::kBF16) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<double>(bfloat16_to_float(load_bits<std::uint16_t>(at + 2 * i)));
    }
  } else {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = to_double(dtype, at + i * item_size(dtype));
  }
}

// Count, mean and sum of squared deviations of the finite values of a block.
struct Moments {
  TensorStatistics statistics;
  std::uint64_t finite = 0;
  double mean = 0;
  double squares = 0;
};

Moments of_values(const std::vector<double>& values) {
  Moments block;
  block.statistics.count = values.size();
  block.statistics.minimum = std::numeric_limits<double>::infinity();
  block.statistics.maximum = -std::numeric_limits<double>::infinity();
  double sum = 0;
  for (const double value : values) {
    if (std::isnan(value)) {
      ++block.statistics.nans;
    } else if (std::isinf(value)) {
      ++block.statistics.infinities;
    } else {
      block.statistics.zeros += value == 0;
      block.statistics.minimum = std::min(block.statistics.minimum, value);
      block.statistics.maximum = std::max(block.statistics.maximum, value);
      sum += value;
      ++block.finite;
    }
  }
  if (block.finite == 0) return block;
  block.mean = sum / static_cast<double>(block.finite);
  for (const double value : values) {
    if (std::isfinite(value)) block.squares += (value - block.mean) * (value - block.mean);
  }
  return block;
}

// Combines two parts (Chan, Golub, LeVeque 1979).
void merge(Moments& total, const Moments& part) {
  TensorStatistics& sum = total.statistics;
  sum.count += part.statistics.count;
  sum.zeros += part.statistics.zeros;
  sum.nans += part.statistics.nans;
  sum.infinities += part.statistics.infinities;
  sum.minimum = std::min(sum.minimum, part.statistics.minimum);
  sum.maximum = std::max(sum.maximum, part.statistics.maximum);
  if (part.finite == 0) return;
  const auto n = static_cast<double>(total.finite);
  const auto m = static_cast<double>(part.finite);
  const double difference = part.mean - total.mean;
  total.mean += difference * m / (n + m);
  total.squares += part.squares + difference * difference * n * m / (n + m);
  total.finite += part.finite;
}

std::uint64_t element_count(std::span<const std::int64_t> shape) {
  std::uint64_t count = 1;
  for (const std::int64_t size : shape) count *= static_cast<std::uint64_t>(size);
  return count;
}

// Place in the storage of element `index` (row-major), in elements.
std::uint64_t storage_index(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides,
                            std::uint64_t index) {
  std::uint64_t place = 0;
  for (std::size_t d = shape.size(); d-- > 0;) {
    const auto size = static_cast<std::uint64_t>(shape[d]);
    place += index % size * static_cast<std::uint64_t>(strides[d]);
    index /= size;
  }
  return place;
}

}  // namespace

std::vector<std::int64_t> row_major_strides(std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * std::max<std::int64_t>(shape[d], 1);
  return strides;
}

double tensor_element(DType dtype, ByteView data, std::span<const std::int64_t> shape,
                      std::span<const std::int64_t> strides, std::uint64_t index) {
  return to_double(dtype, data.data() + storage_index(shape, strides, index) * item_size(dtype));
}

std::optional<TensorStatistics> tensor_statistics(DType dtype, ByteView data, std::span<const std::int64_t> shape,
                                                  std::span<const std::int64_t> strides) {
  if (dtype == DType::kC64 || dtype == DType::kC128) return std::nullopt;
  const std::uint64_t count = element_count(shape);
  if (count == 0) return TensorStatistics{};
  const std::vector<std::int64_t> plain = row_major_strides(shape);
  const bool contiguous = std::equal(plain.begin(), plain.end(), strides.begin(), strides.end());
  const std::size_t item = item_size(dtype);
  std::vector<Moments> blocks((count + kBlockOfStatistics - 1) / kBlockOfStatistics);
  parallel_for(static_cast<std::int64_t>(blocks.size()), [&](std::int64_t b) {
    const std::uint64_t begin = static_cast<std::uint64_t>(b) * kBlockOfStatistics;
    std::vector<double> values(std::min(kBlockOfStatistics, count - begin));
    if (contiguous) {
      convert(dtype, data.data(), begin, values);
    } else {
      for (std::uint64_t i = 0; i < values.size(); ++i) {
        values[i] = to_double(dtype, data.data() + storage_index(shape, strides, begin + i) * item);
      }
    }
    blocks[static_cast<std::size_t>(b)] = of_values(values);
  });
  Moments total = blocks.front();
  for (std::size_t b = 1; b < blocks.size(); ++b) merge(total, blocks[b]);
  if (total.finite == 0) {
    total.statistics.minimum = total.statistics.maximum = 0;
    return total.statistics;
  }
  total.statistics.mean = total.mean;
  total.statistics.deviation = std::sqrt(total.squares / static_cast<double>(total.finite));
  return total.statistics;
}

}  // namespace kinglet
