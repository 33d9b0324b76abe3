// Tables of a Memory Layer as the look-up reads them, and the look-up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kinglet/io/dtype.h"
#include "kinglet/kernels/memory_layer.h"

namespace kinglet {

// kRows:         [tables][2^bits][width]: one token reads long pieces. Training and single tokens.
// kColumnBlocks: [width / 64][tables][2^bits][64], padded with zeros: a block of all tables fits a cache, for batches;
//                threads that share the columns read their own memory.
enum class TableLayout : std::uint8_t { kRows, kColumnBlocks };
inline constexpr std::int64_t kColumnBlock = 64;

struct ConstTables {
  const void* data = nullptr;
  DType dtype = DType::kF32;  // F32, BF16 or I8
  TableLayout layout = TableLayout::kRows;
  const float* scales = nullptr;  // of I8: [tables][2^bits], the factor of a row
};

// out[n] = bias + sum_k weights[n, k] tables[k, codes[n, k]]; bias: [width] or null. Sums are fp32. Every code must be
// below 2^bits. The order of the sum over k is that of the tables for every number of threads.
void memory_gather(const MemoryShape& shape, const ConstTables& tables, std::int64_t tokens, const std::uint16_t* codes,
                   const float* weights, const float* bias, float* out);

// A copy of tables in another number type or layout, for use without training. I8 rows are absmax / 127 with one factor
// a row; a row with a number that is not finite has the factor NaN. Memory is aligned for huge pages.
class PackedTables {
 public:
  // rows: fp32 [tables][2^bits][width]
  PackedTables(const MemoryShape& shape, const float* rows, DType dtype, TableLayout layout);
  // from: rows of F32 or BF16, or of `dtype` itself; its data may be unaligned.
  PackedTables(const MemoryShape& shape, const ConstTables& from, DType dtype, TableLayout layout);
  ConstTables view() const;
  std::size_t bytes() const { return bytes_ + scales_.size() * sizeof(float); }
  // As reverse_table_bits() below; of the layout kRows.
  void reverse_bits();

 private:
  void set_row(std::int64_t row, const float* values);
  void copy_row(std::int64_t row, const ConstTables& from);
  template <typename Piece>
  void set_pieces(std::int64_t row, const Piece& piece);

  struct Free {
    void operator()(void* memory) const;
  };
  MemoryShape shape_;
  DType dtype_;
  TableLayout layout_;
  std::size_t bytes_ = 0;
  std::unique_ptr<void, Free> data_;
  std::vector<float> scales_;
};

// Exchanges row c of every table with the row whose bits are those of c in reverse, in place: from tables whose codes
// have the first element in the highest bit to ours, and back. data: [tables][2^bits] rows of `row_bytes`.
void reverse_table_bits(std::int64_t tables, int bits, std::size_t row_bytes, void* data);

}  // namespace kinglet
