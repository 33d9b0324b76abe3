#include "kinglet/kernels/memory_tables.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include <sys/mman.h>

#include "kinglet/base/parallel.h"

namespace kinglet {
namespace {

constexpr std::size_t kHugePage = 1 << 21;

void* allocate_huge(std::size_t bytes) {
  const std::size_t whole = std::max(kHugePage, (bytes + kHugePage - 1) / kHugePage * kHugePage);
  void* memory = std::aligned_alloc(kHugePage, whole);
  if (memory == nullptr) throw std::bad_alloc();
  ::madvise(memory, whole, MADV_HUGEPAGE);  // a wish: without huge pages it is only slower
  return memory;
}

// Part of a row into its place.
void convert(const float* from, std::int64_t n, DType dtype, float inverse_scale, void* to) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
      return;
    case DType::kBF16:
      for (std::int64_t i = 0; i < n; ++i) static_cast<std::uint16_t*>(to)[i] = float_to_bfloat16(from[i]);
      return;
    default:
      for (std::int64_t i = 0; i < n; ++i) {
        static_cast<std::int8_t*>(to)[i] = static_cast<std::int8_t>(std::lrint(from[i] * inverse_scale));
      }
  }
}

// n numbers of F32 or BF16 at any address.
void widen(const char* from, std::int64_t n, DType dtype, float* to) {
  if (dtype == DType::kF32) {
    std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, from + 2 * i, sizeof(bits));
    to[i] = bfloat16_to_float(bits);
  }
}

// Of the magnitudes; NaN when one of them is no finite number. Without their signs floats are ordered as their bits
// are, and the largest of integers is found many at a time.
float largest_of(const float* values, std::int64_t n) {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < n; ++i)
    largest = std::max(largest, std::bit_cast<std::uint32_t>(values[i]) & 0x7fffffffU);
  const auto size = std::bit_cast<float>(largest);
  return std::isfinite(size) ? size : std::numeric_limits<float>::quiet_NaN();
}

}  // namespace

void PackedTables::Free::operator()(void* memory) const { std::free(memory); }

PackedTables::PackedTables(const MemoryShape& shape, const float* rows, DType dtype, TableLayout layout)
    : PackedTables(shape, ConstTables{rows, DType::kF32, TableLayout::kRows, nullptr}, dtype, layout) {}

PackedTables::PackedTables(const MemoryShape& shape, const ConstTables& from, DType dtype, TableLayout layout)
    : shape_(shape), dtype_(dtype), layout_(layout) {
  assert(dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kI8);
  assert(from.layout == TableLayout::kRows &&
         (from.dtype == DType::kF32 || from.dtype == DType::kBF16 || from.dtype == dtype));
  const bool blocked = layout == TableLayout::kColumnBlocks;
  const std::int64_t columns = blocked ? (shape.width + kColumnBlock - 1) / kColumnBlock * kColumnBlock : shape.width;
  bytes_ = static_cast<std::size_t>(shape.rows() * columns) * item_size(dtype);
  data_.reset(allocate_huge(bytes_));
  if (dtype == DType::kI8) scales_.resize(static_cast<std::size_t>(shape.rows()));
  parallel_ranges(shape.rows(), 1 + (1 << 16) / (1 + shape.width), [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> wide(static_cast<std::size_t>(shape_.width));
    for (std::int64_t row = begin; row < end; ++row) {
      if (from.dtype == dtype_) {
        copy_row(row, from);
        continue;
      }
      const std::size_t offset = static_cast<std::size_t>(row * shape_.width) * item_size(from.dtype);
      const char* const place = static_cast<const char*>(from.data) + offset;
      if (from.dtype == DType::kF32 && reinterpret_cast<std::uintptr_t>(place) % alignof(float) == 0) {
        set_row(row, reinterpret_cast<const float*>(place));
        continue;
      }
      widen(place, shape_.width, from.dtype, wide.data());
      set_row(row, wide.data());
    }
  });
}

// Calls piece(first column, columns, place) for the parts of a row, and clears what pads the last one.
template <typename Piece>
void PackedTables::set_pieces(std::int64_t row, const Piece& piece) {
  const std::size_t item = item_size(dtype_);
  const std::int64_t columns = layout_ == TableLayout::kColumnBlocks ? kColumnBlock : shape_.width;
  for (std::int64_t first = 0; first < shape_.width; first += columns) {
    const std::int64_t block = first / columns, n = std::min(columns, shape_.width - first);
    char* const to =
        static_cast<char*>(data_.get()) + static_cast<std::size_t>((block * shape_.rows() + row) * columns) * item;
    piece(first, n, to);
    std::memset(to + static_cast<std::size_t>(n) * item, 0, static_cast<std::size_t>(columns - n) * item);
  }
}

void PackedTables::set_row(std::int64_t row, const float* values) {
  float inverse = 1.0F;
  if (dtype_ == DType::kI8) {
    const float largest = largest_of(values, shape_.width);
    scales_[static_cast<std::size_t>(row)] = largest / 127.0F;
    inverse = largest > 0.0F ? 127.0F / largest : 0.0F;
    if (std::isnan(largest)) {
      set_pieces(row, [](std::int64_t, std::int64_t n, char* to) { std::memset(to, 0, static_cast<std::size_t>(n)); });
      return;
    }
  }
  set_pieces(row,
             [&](std::int64_t first, std::int64_t n, char* to) { convert(values + first, n, dtype_, inverse, to); });
}

void PackedTables::copy_row(std::int64_t row, const ConstTables& from) {
  const std::size_t item = item_size(dtype_);
  const char* const values = static_cast<const char*>(from.data) + static_cast<std::size_t>(row * shape_.width) * item;
  if (dtype_ == DType::kI8) scales_[static_cast<std::size_t>(row)] = from.scales[row];
  set_pieces(row, [&](std::int64_t first, std::int64_t n, char* to) {
    std::memcpy(to, values + static_cast<std::size_t>(first) * item, static_cast<std::size_t>(n) * item);
  });
}

void PackedTables::reverse_bits() {
  assert(layout_ == TableLayout::kRows);
  reverse_table_bits(shape_.tables, shape_.bits, static_cast<std::size_t>(shape_.width) * item_size(dtype_),
                     data_.get());
  if (dtype_ == DType::kI8) reverse_table_bits(shape_.tables, shape_.bits, sizeof(float), scales_.data());
}

ConstTables PackedTables::view() const {
  return {data_.get(), dtype_, layout_, scales_.empty() ? nullptr : scales_.data()};
}

void reverse_table_bits(std::int64_t tables, int bits, std::size_t row_bytes, void* data) {
  const std::uint32_t rows = 1U << bits;
  parallel_ranges(tables, 1 + (1 << 18) / static_cast<std::int64_t>(rows * (row_bytes + 1)),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t k = begin; k < end; ++k) {
                      std::vector<char> kept(row_bytes);
                      char* const table = static_cast<char*>(data) + static_cast<std::size_t>(k) * rows * row_bytes;
                      for (std::uint32_t row = 0; row < rows; ++row) {
                        std::uint32_t other = 0;
                        for (int i = 0; i < bits; ++i) other |= (row >> i & 1U) << (bits - 1 - i);
                        if (other <= row) continue;
                        std::memcpy(kept.data(), table + row * row_bytes, row_bytes);
                        std::memcpy(table + row * row_bytes, table + other * row_bytes, row_bytes);
                        std::memcpy(table + other * row_bytes, kept.data(), row_bytes);
                      }
                    }
                  });
}

}  // namespace kinglet
