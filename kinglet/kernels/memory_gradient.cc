#include "kinglet/kernels/memory_gradient.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/memory_gradient.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kinglet/kernels/loops.h"

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
KINGLET_SCALAR_LOOPS
#endif
namespace kinglet {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;
constexpr std::size_t kVector = HWY_LANES(float);
constexpr std::size_t kVectors = 8;  // of a row at a time: their sums stay in registers

// What the tokens of one row are: numbers, and the place of their weight in [tokens, tables].
struct Readers {
  const std::uint32_t* tokens;
  std::size_t count;
  std::size_t tables;
  const float* weights;   // of this table, token 0
  float* grad_weights;    // the same place, or null
  const float* grad_out;  // of the columns, token 0
  std::size_t width;
};

// kCount vectors of columns: the row's gradient, and their share of the weights' gradients.
template <std::size_t kCount>
HWY_INLINE void AddColumns(const Readers& readers, const float* row, float* grad_row, bool first) {
  const Floats d;
  Vector sum[kCount];
  for (std::size_t i = 0; i < kCount; ++i) sum[i] = hn::Zero(d);
  for (std::size_t at = 0; at < readers.count; ++at) {
    const std::size_t n = readers.tokens[at];
    const float* const g = readers.grad_out + n * readers.width;
    const Vector weight = hn::Set(d, readers.weights[n * readers.tables]);
    if (at + 1 < readers.count) {
      const float* const next = readers.grad_out + readers.tokens[at + 1] * readers.width;
      for (std::size_t i = 0; i < kCount * kVector; i += 16) __builtin_prefetch(next + i, 0, 3);
    }
    Vector dot = hn::Zero(d), dot2 = hn::Zero(d);
    HWY_UNROLL(8)
    for (std::size_t i = 0; i < kCount; ++i) {
      const Vector slope = hn::LoadU(d, g + i * kVector);
      sum[i] = hn::MulAdd(weight, slope, sum[i]);
      Vector& part = i % 2 == 0 ? dot : dot2;
      part = hn::MulAdd(slope, hn::LoadU(d, row + i * kVector), part);
    }
    if (readers.grad_weights == nullptr) continue;
    const float share = hn::GetLane(hn::SumOfLanes(d, hn::Add(dot, dot2)));
    float& to = readers.grad_weights[n * readers.tables];
    to = first ? share : to + share;
  }
  HWY_UNROLL(8)
  for (std::size_t i = 0; i < kCount; ++i) hn::StoreU(sum[i], d, grad_row + i * kVector);
}

HWY_INLINE void AddTail(const Readers& readers, const float* row, std::size_t columns, float* grad_row, bool first) {
  for (std::size_t i = 0; i < columns; ++i) grad_row[i] = 0.0F;
  for (std::size_t at = 0; at < readers.count; ++at) {
    const std::size_t n = readers.tokens[at];
    const float* const g = readers.grad_out + n * readers.width;
    const float weight = readers.weights[n * readers.tables];
    float share = 0.0F;
    for (std::size_t i = 0; i < columns; ++i) {
      grad_row[i] += weight * g[i];
      share += g[i] * row[i];
    }
    if (readers.grad_weights == nullptr) continue;
    float& to = readers.grad_weights[n * readers.tables];
    to = first ? share : to + share;
  }
}

void GradientOfRow(const std::uint32_t* tokens, std::size_t count, std::size_t tables, std::size_t width,
                   const float* weights, const float* grad_out, const float* row, float* grad_row,
                   float* grad_weights) {
  Readers readers{tokens, count, tables, weights, grad_weights, grad_out, width};
  std::size_t at = 0;
  const auto advance = [&](std::size_t columns) {
    at += columns;
    readers.grad_out += columns;
  };
  for (; width - at >= kVectors * kVector; advance(kVectors * kVector)) {
    AddColumns<kVectors>(readers, row + at, grad_row + at, at == 0);
  }
  for (; width - at >= kVector; advance(kVector)) AddColumns<1>(readers, row + at, grad_row + at, at == 0);
  if (at < width) AddTail(readers, row + at, width - at, grad_row + at, at == 0);
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include "kinglet/base/parallel.h"

namespace kinglet {

HWY_EXPORT(GradientOfRow);

TokensByRow::TokensByRow(const MemoryShape& shape, std::int64_t tokens, const std::uint16_t* codes)
    : tokens_(static_cast<std::size_t>(shape.tables * tokens)) {
  const auto rows = static_cast<std::size_t>(shape.rows_of_table());
  std::vector<std::uint32_t> ends(static_cast<std::size_t>(shape.tables) * rows);
  const auto sort_table = [&](std::int64_t k) {
    std::uint32_t* const end = ends.data() + static_cast<std::size_t>(k) * rows;
    for (std::int64_t n = 0; n < tokens; ++n) ++end[codes[n * shape.tables + k]];
    std::uint32_t before = 0;
    for (std::size_t c = 0; c < rows; ++c) {
      const std::uint32_t count = end[c];
      end[c] = before;
      before += count;
    }
    std::uint32_t* const sorted = tokens_.data() + k * tokens;
    for (std::int64_t n = 0; n < tokens; ++n) {
      sorted[end[codes[n * shape.tables + k]]++] = static_cast<std::uint32_t>(n);
    }
  };
  const std::int64_t piece = std::max<std::int64_t>(1, (1 << 14) / (tokens + shape.rows_of_table()));
  parallel_ranges(shape.tables, piece, [&](std::int64_t begin, std::int64_t last) {
    for (std::int64_t k = begin; k < last; ++k) sort_table(k);
  });
  for (std::int64_t k = 0; k < shape.tables; ++k) {
    std::int64_t before = 0;
    for (std::size_t c = 0; c < rows; ++c) {
      const std::int64_t end = ends[static_cast<std::size_t>(k) * rows + c];
      if (end > before) {
        rows_.push_back({(k << shape.bits) + static_cast<std::int64_t>(c), k * tokens + before, k * tokens + end});
      }
      before = end;
    }
  }
}

void memory_gather_backward(const MemoryShape& shape, const TokensByRow& by_row, const float* tables,
                            const float* weights, const float* grad_out, bool dense, float* grad_rows,
                            float* grad_weights) {
  const auto& rows = by_row.rows();
  // A task: enough elements to be worth a thread's while.
  const std::int64_t piece = std::max<std::int64_t>(16, (1 << 15) / std::max<std::int64_t>(1, shape.width));
  parallel_ranges(static_cast<std::int64_t>(rows.size()), piece, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const TokensByRow::Row& row = rows[static_cast<std::size_t>(i)];
      const std::int64_t table = row.row >> shape.bits;
      HWY_DYNAMIC_DISPATCH(GradientOfRow)
      (by_row.tokens() + row.begin, static_cast<std::size_t>(row.end - row.begin),
       static_cast<std::size_t>(shape.tables), static_cast<std::size_t>(shape.width), weights + table, grad_out,
       tables + row.row * shape.width, grad_rows + (dense ? row.row : i) * shape.width,
       grad_weights == nullptr ? nullptr : grad_weights + table);
    }
  });
}

}  // namespace kinglet
#endif  // HWY_ONCE
