// The weighted sum of table rows. Rows lie anywhere in hundreds of megabytes, so what counts is that their lines are
// asked for early: kAhead rows before they are added.
#include <algorithm>
#include <cassert>

#include "kinglet/kernels/memory_tables.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/memory_gather.cc"
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
using Words = hn::RebindToUnsigned<Floats>;
using Vector = hn::Vec<Floats>;
constexpr std::size_t kVector = HWY_LANES(float);
constexpr std::size_t kAhead = 8;
constexpr std::size_t kLine = 64;

// What a pass over the tables reads: for every table k of the token the row codes[k], from column `first` on.
struct Pass {
  const char* data;         // of column `first` in row 0
  std::size_t table_bytes;  // from one table to the next
  std::size_t row_bytes;
  std::size_t tables;
  const std::uint16_t* codes;
  const float* weights;
  std::size_t known_ahead;  // codes that may be read from codes[0] on, those of the next tokens included

  HWY_INLINE const char* Row(std::size_t k) const { return data + k * table_bytes + codes[k] * row_bytes; }
  // Bytes [begin, begin + bytes) of the row that table `ahead` gives, of this token or, beyond its tables, of the next.
  HWY_INLINE void Prefetch(std::size_t ahead, std::size_t begin, std::size_t bytes) const {
    if (ahead >= known_ahead) return;
    const std::size_t table = ahead < tables ? ahead : ahead % tables;
    const char* const row = data + table * table_bytes + codes[ahead] * row_bytes + begin;
    for (std::size_t at = 0; at < bytes; at += kLine) __builtin_prefetch(row + at, 0, 3);
  }
};

// A number type of tables: kParts vectors of output come from one load of kParts * kVector elements. AddTo adds
// w * (those elements) to sum[0 .. kParts).
struct OfF32 {
  static constexpr std::size_t kBytes = 4, kParts = 1;
  static HWY_INLINE void AddTo(const char* at, Vector w, Vector* sum) {
    sum[0] = hn::MulAdd(w, hn::LoadU(Floats(), reinterpret_cast<const float*>(at)), sum[0]);
  }
  static HWY_INLINE void Store(const Vector* sum, float* out) { hn::StoreU(sum[0], Floats(), out); }
};

// Two numbers a 32-bit word: the even ones and the odd ones are summed apart and put together at the end.
struct OfBF16 {
  static constexpr std::size_t kBytes = 2, kParts = 2;
  static HWY_INLINE void AddTo(const char* at, Vector w, Vector* sum) {
    const Words d;
    const auto pairs = hn::LoadU(d, reinterpret_cast<const std::uint32_t*>(at));
    const auto even = hn::BitCast(Floats(), hn::ShiftLeft<16>(pairs));
    const auto odd = hn::BitCast(Floats(), hn::And(pairs, hn::Set(d, 0xFFFF0000U)));
    sum[0] = hn::MulAdd(w, even, sum[0]);
    sum[1] = hn::MulAdd(w, odd, sum[1]);
  }
  static HWY_INLINE void Store(const Vector* sum, float* out) {
    HWY_ALIGN float even[kVector], odd[kVector];
    hn::Store(sum[0], Floats(), even);
    hn::Store(sum[1], Floats(), odd);
    for (std::size_t lane = 0; lane < kVector; ++lane) {
      out[2 * lane] = even[lane];
      out[2 * lane + 1] = odd[lane];
    }
  }
};

struct OfI8 {
  static constexpr std::size_t kBytes = 1, kParts = 1;
  static HWY_INLINE void AddTo(const char* at, Vector w, Vector* sum) {
    const hn::RebindToSigned<Floats> d;
    const hn::Rebind<std::int8_t, Floats> d8;
    const auto numbers = hn::PromoteTo(d, hn::LoadU(d8, reinterpret_cast<const std::int8_t*>(at)));
    sum[0] = hn::MulAdd(w, hn::ConvertTo(Floats(), numbers), sum[0]);
  }
  static HWY_INLINE void Store(const Vector* sum, float* out) { hn::StoreU(sum[0], Floats(), out); }
};

// Sums kLoads loads wide. `prefetch_bytes` of each coming row are asked for.
template <class Type, std::size_t kLoads>
HWY_INLINE void SumColumns(const Pass& pass, std::size_t prefetch_bytes, const float* bias, float* out) {
  constexpr std::size_t kVectors = kLoads * Type::kParts, kStep = Type::kParts * kVector;
  Vector sum[kVectors];
  for (std::size_t i = 0; i < kVectors; ++i) sum[i] = hn::Zero(Floats());
  for (std::size_t k = 0; k < pass.tables; ++k) {
    pass.Prefetch(k + kAhead, 0, prefetch_bytes);
    const char* const row = pass.Row(k);
    const Vector w = hn::Set(Floats(), pass.weights[k]);
    HWY_UNROLL(8)
    for (std::size_t i = 0; i < kLoads; ++i) Type::AddTo(row + i * kStep * Type::kBytes, w, sum + i * Type::kParts);
  }
  HWY_UNROLL(8)
  for (std::size_t i = 0; i < kLoads; ++i) {
    Type::Store(sum + i * Type::kParts, out + i * kStep);
  }
  if (bias == nullptr) return;
  for (std::size_t i = 0; i < kLoads * kStep; ++i) out[i] += bias[i];
}

// Vectors of sums that fit the registers, and the columns of so many.
template <class Type>
struct Wide {
  static constexpr std::size_t kVectors = kVector >= 16 ? 16 : 8;
  static constexpr std::size_t kLoads = kVectors / Type::kParts;
  static constexpr std::size_t kStep = Type::kParts * kVector, kColumns = kLoads * kStep;
};

// Tables [begin, end) added to the sums of a Wide piece of columns, which wait in `sums`, in the order of the loads.
// Meanwhile the same columns of the rows `group` tables on are asked for.
template <class Type>
HWY_INLINE void AddGroup(const Pass& pass, std::size_t begin, std::size_t end, std::size_t group, std::size_t column,
                         float* HWY_RESTRICT sums) {
  using W = Wide<Type>;
  const Floats d;
  Vector sum[W::kVectors];
  HWY_UNROLL(16)
  for (std::size_t i = 0; i < W::kVectors; ++i) {
    sum[i] = begin == 0 ? hn::Zero(d) : hn::LoadU(d, sums + i * kVector);
  }
  for (std::size_t k = begin; k < end; ++k) {
    pass.Prefetch(k + group, column * Type::kBytes, W::kColumns * Type::kBytes);
    const char* const row = pass.Row(k) + column * Type::kBytes;
    const Vector w = hn::Set(d, pass.weights[k]);
    HWY_UNROLL(16)
    for (std::size_t i = 0; i < W::kLoads; ++i) {
      Type::AddTo(row + i * W::kStep * Type::kBytes, w, sum + i * Type::kParts);
    }
  }
  HWY_UNROLL(16)
  for (std::size_t i = 0; i < W::kVectors; ++i) hn::StoreU(sum[i], d, sums + i * kVector);
}

// Long rows: a group of tables at a time over all columns, so that a row is used up while it is in the nearest cache
// and the next group is on its way. Returns the columns that are done, all but less than a Wide piece.
template <class Type>
std::size_t SumLongRows(const Pass& pass, std::size_t columns, bool first_token, const float* bias, float* out) {
  using W = Wide<Type>;
  constexpr std::size_t kGroupBytes = 8192, kMost = 4096;  // a group of rows; columns at a time
  HWY_ALIGN float sums[kMost];
  const std::size_t whole = columns / W::kColumns * W::kColumns;
  for (std::size_t start = 0; start < whole; start += kMost) {
    const std::size_t span = whole - start < kMost ? whole - start : kMost;
    const std::size_t fitting = kGroupBytes / (span * Type::kBytes);
    const std::size_t group = fitting < 2 ? 2 : fitting > 16 ? 16 : fitting;
    if (first_token || start > 0) {
      for (std::size_t k = 0; k < group; ++k) pass.Prefetch(k, start * Type::kBytes, span * Type::kBytes);
    }
    for (std::size_t k = 0; k < pass.tables; k += group) {
      const std::size_t end = pass.tables - k < group ? pass.tables : k + group;
      for (std::size_t at = 0; at < span; at += W::kColumns) {
        AddGroup<Type>(pass, k, end, group, start + at, sums + at);
      }
    }
    for (std::size_t at = 0; at < span; at += W::kStep) {
      Vector sum[Type::kParts];
      for (std::size_t i = 0; i < Type::kParts; ++i) sum[i] = hn::LoadU(Floats(), sums + at + i * kVector);
      Type::Store(sum, out + start + at);
    }
    if (bias == nullptr) continue;
    for (std::size_t at = start; at < start + span; ++at) out[at] += bias[at];
  }
  return whole;
}

HWY_INLINE float ToFloat(const char* at, std::size_t bytes) {
  if (bytes == 1) return static_cast<float>(*reinterpret_cast<const std::int8_t*>(at));
  std::uint32_t bits = 0;
  __builtin_memcpy(bytes == 2 ? reinterpret_cast<char*>(&bits) + 2 : reinterpret_cast<char*>(&bits), at, bytes);
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

// What is left of a row: fewer columns than a vector step.
template <class Type>
void SumTail(const Pass& pass, std::size_t columns, const float* bias, float* out) {
  for (std::size_t i = 0; i < columns; ++i) out[i] = bias == nullptr ? 0.0F : bias[i];
  for (std::size_t k = 0; k < pass.tables; ++k) {
    const char* const row = pass.Row(k);
    for (std::size_t i = 0; i < columns; ++i) {
      out[i] += pass.weights[k] * ToFloat(row + i * Type::kBytes, Type::kBytes);
    }
  }
}

// columns [0, columns) of one token.
template <class Type>
HWY_INLINE void SumToken(Pass pass, std::size_t columns, bool first_token, const float* bias, float* out) {
  using W = Wide<Type>;
  constexpr std::size_t kStep = W::kStep;
  std::size_t at = 0, prefetch = 0;
  const auto advance = [&](std::size_t done) {
    pass.data += done * Type::kBytes;
    at += done;
    if (bias != nullptr) bias += done;
    prefetch = 0;
  };
  if (columns >= 2 * W::kColumns) advance(SumLongRows<Type>(pass, columns, first_token, bias, out));
  prefetch = (columns - at) * Type::kBytes;  // the first pass asks for all of it: the others find it in the cache
  while (columns - at >= W::kColumns) {
    SumColumns<Type, W::kLoads>(pass, prefetch, bias, out + at);
    advance(W::kColumns);
  }
  while (columns - at >= 2 * kStep) {
    SumColumns<Type, 2>(pass, prefetch, bias, out + at);
    advance(2 * kStep);
  }
  while (columns - at >= kStep) {
    SumColumns<Type, 1>(pass, prefetch, bias, out + at);
    advance(kStep);
  }
  if (at < columns) SumTail<Type>(pass, columns - at, bias, out + at);
}

// Tokens [0, tokens) of which each has `columns` columns at out + n * out_stride.
template <class Type>
void SumTokens(Pass pass, std::size_t tokens, std::size_t columns, const float* bias, std::size_t out_stride,
               float* out) {
  for (std::size_t n = 0; n < tokens; ++n) {
    SumToken<Type>(pass, columns, n == 0, bias, out + n * out_stride);
    pass.codes += pass.tables;
    pass.weights += pass.tables;
    pass.known_ahead -= pass.tables;
  }
}

void SumTokensOf(std::size_t element_bytes, const char* data, std::size_t tables, std::size_t table_bytes,
                 std::size_t row_bytes, const std::uint16_t* codes, const float* weights, std::size_t tokens,
                 std::size_t columns, const float* bias, std::size_t out_stride, float* out) {
  const Pass pass{data, table_bytes, row_bytes, tables, codes, weights, tokens * tables};
  if (element_bytes == 4) return SumTokens<OfF32>(pass, tokens, columns, bias, out_stride, out);
  if (element_bytes == 2) return SumTokens<OfBF16>(pass, tokens, columns, bias, out_stride, out);
  SumTokens<OfI8>(pass, tokens, columns, bias, out_stride, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <vector>

#include "kinglet/base/parallel.h"

namespace kinglet {

HWY_EXPORT(SumTokensOf);

namespace {

// Columns of a task. Below kSerialBytes of rows a second thread costs more than it saves.
constexpr std::int64_t kTokenPiece = 16, kDecodeColumns = 256, kSerialBytes = 1 << 19;

struct Job {
  const MemoryShape& shape;
  const ConstTables& tables;
  const std::uint16_t* codes;
  const float* weights;  // the factors of I8 rows included
  const float* bias;
  float* out;

  // Tokens [begin, end), columns [first, last); with kColumnBlocks these are those of one block.
  void run(std::int64_t begin, std::int64_t end, std::int64_t first, std::int64_t last) const {
    const std::size_t bytes = item_size(tables.dtype);
    const bool blocked = tables.layout == TableLayout::kColumnBlocks;
    const std::int64_t row = blocked ? kColumnBlock : shape.width;
    const std::int64_t start = blocked ? first / kColumnBlock * shape.rows() * kColumnBlock : first;
    const std::size_t row_bytes = static_cast<std::size_t>(row) * bytes;
    HWY_DYNAMIC_DISPATCH(SumTokensOf)
    (bytes, static_cast<const char*>(tables.data) + static_cast<std::size_t>(start) * bytes,
     static_cast<std::size_t>(shape.tables), row_bytes << shape.bits, row_bytes, codes + begin * shape.tables,
     weights + begin * shape.tables, static_cast<std::size_t>(end - begin), static_cast<std::size_t>(last - first),
     bias == nullptr ? nullptr : bias + first, static_cast<std::size_t>(shape.width),
     out + begin * shape.width + first);
  }
};

void run_pieces(std::int64_t count, bool serial, const std::function<void(std::int64_t)>& piece) {
  if (!serial) return parallel_for(count, piece);
  for (std::int64_t i = 0; i < count; ++i) piece(i);
}

}  // namespace

void memory_gather(const MemoryShape& shape, const ConstTables& tables, std::int64_t tokens, const std::uint16_t* codes,
                   const float* weights, const float* bias, float* out) {
  assert(tables.dtype == DType::kF32 || tables.dtype == DType::kBF16 || tables.dtype == DType::kI8);
  if (tokens == 0 || shape.width == 0) return;
  std::vector<float> scaled;
  if (tables.dtype == DType::kI8) {
    scaled.resize(static_cast<std::size_t>(tokens * shape.tables));
    for (std::int64_t i = 0; i < tokens * shape.tables; ++i) {
      const std::int64_t row = (i % shape.tables << shape.bits) + codes[i];
      scaled[static_cast<std::size_t>(i)] = weights[i] * tables.scales[row];
    }
    weights = scaled.data();
  }
  const Job job{shape, tables, codes, weights, bias, out};
  const std::int64_t row_bytes = shape.width * static_cast<std::int64_t>(item_size(tables.dtype));
  const bool serial = tokens * shape.tables * row_bytes < kSerialBytes;
  if (tables.layout == TableLayout::kColumnBlocks) {
    // Blocks one after the other, so that the tables of a block stay in the cache while all tokens pass.
    const std::int64_t blocks = (shape.width + kColumnBlock - 1) / kColumnBlock;
    run_pieces(blocks, serial, [&](std::int64_t block) {
      job.run(0, tokens, block * kColumnBlock, std::min(shape.width, (block + 1) * kColumnBlock));
    });
    return;
  }
  const std::int64_t threads = num_threads();
  if (tokens >= threads * 2) {
    const std::int64_t pieces = (tokens + kTokenPiece - 1) / kTokenPiece;
    run_pieces(pieces, serial, [&](std::int64_t i) {
      job.run(i * kTokenPiece, std::min(tokens, (i + 1) * kTokenPiece), 0, shape.width);
    });
    return;
  }
  const std::int64_t wanted = std::min(threads, (shape.width + kDecodeColumns - 1) / kDecodeColumns);
  const std::int64_t columns =
      serial ? shape.width : (shape.width / wanted + kColumnBlock - 1) / kColumnBlock * kColumnBlock;
  run_pieces((shape.width + columns - 1) / columns, serial,
             [&](std::int64_t i) { job.run(0, tokens, i * columns, std::min(shape.width, (i + 1) * columns)); });
}

}  // namespace kinglet
#endif  // HWY_ONCE
