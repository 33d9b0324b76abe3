#include "kinglet/kernels/memory_tables.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <cstring>
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

// One row into its place; padding is left as it is.
void convert_row(const float* row, std::int64_t n, DType dtype, float inverse_scale, void* to) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(to, row, static_cast<std::size_t>(n) * sizeof(float));
      return;
    case DType::kBF16:
      for (std::int64_t i = 0; i < n; ++i) static_cast<std::uint16_t*>(to)[i] = float_to_bfloat16(row[i]);
      return;
    default:
      for (std::int64_t i = 0; i < n; ++i) {
        static_cast<std::int8_t*>(to)[i] = static_cast<std::int8_t>(std::lrint(row[i] * inverse_scale));
      }
  }
}

}  // namespace

void PackedTables::Free::operator()(void* memory) const { std::free(memory); }

PackedTables::PackedTables(const MemoryShape& shape, const float* rows, DType dtype, TableLayout layout)
    : dtype_(dtype), layout_(layout) {
  assert(dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kI8);
  const bool blocked = layout == TableLayout::kColumnBlocks;
  const std::int64_t piece = blocked ? kColumnBlock : shape.width;
  const std::int64_t pieces = blocked ? (shape.width + piece - 1) / piece : 1;
  const std::size_t item = item_size(dtype);
  bytes_ = static_cast<std::size_t>(pieces * shape.rows() * piece) * item;
  data_.reset(allocate_huge(bytes_));
  if (dtype == DType::kI8) scales_.resize(static_cast<std::size_t>(shape.rows()));
  parallel_ranges(shape.rows(), 1 + (1 << 16) / (1 + shape.width), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const float* const row = rows + r * shape.width;
      float inverse = 1.0F;
      if (dtype == DType::kI8) {
        float largest = 0.0F;
        for (std::int64_t i = 0; i < shape.width; ++i) largest = std::max(largest, std::abs(row[i]));
        scales_[static_cast<std::size_t>(r)] = largest / 127.0F;
        inverse = largest > 0.0F ? 127.0F / largest : 0.0F;
      }
      for (std::int64_t p = 0; p < pieces; ++p) {
        char* const to =
            static_cast<char*>(data_.get()) + static_cast<std::size_t>((p * shape.rows() + r) * piece) * item;
        const std::int64_t n = std::min(piece, shape.width - p * piece);
        convert_row(row + p * piece, n, dtype, inverse, to);
        if (n < piece)
          std::memset(to + static_cast<std::size_t>(n) * item, 0, static_cast<std::size_t>(piece - n) * item);
      }
    }
  });
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
