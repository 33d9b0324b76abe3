// Statistics of one tensor in a file, for people: streamed in blocks over all cores, nothing is copied.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/io/dtype.h"

namespace kinglet {

// minimum ... deviation are over the finite values; all zero when there are none.
struct TensorStatistics {
  std::uint64_t count = 0;  // elements
  std::uint64_t zeros = 0;
  std::uint64_t nans = 0;
  std::uint64_t infinities = 0;
  double minimum = 0;
  double maximum = 0;
  double mean = 0;
  double deviation = 0;  // standard deviation, divided by n
  double zero_fraction() const { return count == 0 ? 0 : static_cast<double>(zeros) / static_cast<double>(count); }
};

// `data`: the storage from the view's first element on; `strides` in elements. Bounds are the caller's duty (views from
// TorchFile are checked). Nothing for complex numbers. The result does not depend on the number of threads.
std::optional<TensorStatistics> tensor_statistics(DType dtype, ByteView data, std::span<const std::int64_t> shape,
                                                  std::span<const std::int64_t> strides);

// Row-major strides of a shape.
std::vector<std::int64_t> row_major_strides(std::span<const std::int64_t> shape);

// Element `index` (row-major) of the view as a double; complex numbers give their real part.
double tensor_element(DType dtype, ByteView data, std::span<const std::int64_t> shape,
                      std::span<const std::int64_t> strides, std::uint64_t index);

}  // namespace kinglet
