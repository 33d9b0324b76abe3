// The backward pass of a Memory Layer's look-up, deterministic and without atomics: the tokens of a table are sorted by
// their rows, then every row belongs to one task.
#pragma once

#include <cstdint>
#include <vector>

#include "kinglet/kernels/memory_layer.h"

namespace kinglet {

// Which tokens read which row. Tokens of a row stand in ascending order.
class TokensByRow {
 public:
  TokensByRow(const MemoryShape& shape, std::int64_t tokens, const std::uint16_t* codes);

  struct Row {
    std::int64_t row = 0;             // table * 2^bits + code
    std::int64_t begin = 0, end = 0;  // in tokens(): tokens of that table
  };
  // The rows that were read, ascending.
  const std::vector<Row>& rows() const { return rows_; }
  const std::uint32_t* tokens() const { return tokens_.data(); }

 private:
  std::vector<std::uint32_t> tokens_;  // [tables][tokens]
  std::vector<Row> rows_;
};

// grad_rows: [by_row.rows().size(), width], the gradient of each row that was read (of others it is zero), or, when
// `dense`, [rows, width] of which only rows that were read are written.
// grad_weights: [tokens, tables], <grad_out[n], tables[k, code]>; null: not wanted. tables: fp32, TableLayout::kRows.
void memory_gather_backward(const MemoryShape& shape, const TokensByRow& by_row, const float* tables,
                            const float* weights, const float* grad_out, bool dense, float* grad_rows,
                            float* grad_weights);

}  // namespace kinglet
