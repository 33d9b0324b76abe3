#include "kinglet/kernels/few_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/few_rows.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kinglet {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes: an int8 group is then a whole number of vectors.
using Floats = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Floats>;
constexpr std::size_t kGroup = 64;  // kInt8Group
// Sums that stay in registers: x86 below AVX-512 has 16 registers in all.
constexpr bool kManyRegisters = !HWY_ARCH_X86 || HWY_TARGET <= HWY_AVX3;

struct Float32Weights {
  using Element = float;
  static constexpr bool kGrouped = false;
  static HWY_INLINE Vector Load(const float* p) { return hn::LoadU(Floats(), p); }
  static HWY_INLINE float One(float value) { return value; }
};

struct BFloat16Weights {
  using Element = std::uint16_t;
  static constexpr bool kGrouped = false;
  static HWY_INLINE Vector Load(const std::uint16_t* p) {
    const hn::Rebind<std::uint16_t, Floats> halves;
    const hn::RebindToUnsigned<Floats> words;
    return hn::BitCast(Floats(), hn::ShiftLeft<16>(hn::PromoteTo(words, hn::LoadU(halves, p))));
  }
  static HWY_INLINE float One(std::uint16_t value) {
    const std::uint32_t bits = static_cast<std::uint32_t>(value) << 16;
    float result;
    __builtin_memcpy(&result, &bits, sizeof(result));
    return result;
  }
};

struct Int8Weights {
  using Element = std::int8_t;
  static constexpr bool kGrouped = true;
  static HWY_INLINE Vector Load(const std::int8_t* p) {
    const hn::Rebind<std::int8_t, Floats> bytes;
    const hn::RebindToSigned<Floats> words;
    return hn::ConvertTo(Floats(), hn::PromoteTo(words, hn::LoadU(bytes, p)));
  }
  static HWY_INLINE float One(std::int8_t value) { return static_cast<float>(value); }
};

// The sums of kOut rows of the matrix with kRows of x, in registers.
template <std::size_t kOut, std::size_t kRows>
struct Sums {
  HWY_INLINE Sums() {
    for (std::size_t o = 0; o < kOut; ++o) {
      for (std::size_t r = 0; r < kRows; ++r) sum[o][r] = hn::Zero(Floats());
    }
  }

  // Takes one vector of every row.
  template <class Weights>
  HWY_INLINE void Add(const typename Weights::Element* HWY_RESTRICT weights, std::size_t in,
                      const float* HWY_RESTRICT x) {
    Vector row[kRows];
    for (std::size_t r = 0; r < kRows; ++r) row[r] = hn::LoadU(Floats(), x + r * in);
    for (std::size_t o = 0; o < kOut; ++o) {
      const Vector weight = Weights::Load(weights + o * in);
      for (std::size_t r = 0; r < kRows; ++r) sum[o][r] = hn::MulAdd(weight, row[r], sum[o][r]);
    }
  }

  Vector sum[kOut][kRows];
};

// Rows are short and several are read side by side, which the processor's own prefetching does not follow: the group of
// elements that stands kAhead bytes or a little more behind `weights`, in a whole number of tiles.
template <class Element, std::size_t kOut>
HWY_INLINE void PrefetchGroup(const Element* weights, std::size_t in) {
  constexpr std::size_t kAhead = 2048, kLine = 64 / sizeof(Element);
  const std::size_t tile = kOut * in;
  const std::size_t ahead = (kAhead / sizeof(Element) + tile - 1) / tile * tile;
  for (std::size_t o = 0; o < kOut; ++o) {
    for (std::size_t i = 0; i < kGroup; i += kLine) hwy::Prefetch(weights + ahead + o * in + i);
  }
}

// Adds what elements [i, in), less than a group, contribute to the sums [out, rows]. Compiled once, so that no number
// of rows rounds otherwise than another.
template <class Weights>
HWY_NOINLINE void AddRest(const typename Weights::Element* HWY_RESTRICT weights, const float* HWY_RESTRICT scales,
                          std::size_t i, std::size_t in, const float* HWY_RESTRICT x, std::size_t out, std::size_t rows,
                          float* HWY_RESTRICT sums) {
  const std::size_t group = i / kGroup, groups = group + 1;
  for (std::size_t o = 0; o < out; ++o) {
    const float scale = Weights::kGrouped ? scales[o * groups + group] : 1.0F;
    for (std::size_t r = 0; r < rows; ++r) {
      float rest = 0.0F;
      for (std::size_t j = i; j < in; ++j) rest += Weights::One(weights[o * in + j]) * x[r * in + j];
      sums[o * rows + r] += rest * scale;
    }
  }
}

// kOut rows of the matrix against kRows of x, along `in`; sums: [kOut, kRows].
template <class Weights, std::size_t kOut, std::size_t kRows>
HWY_INLINE void Tile(const typename Weights::Element* HWY_RESTRICT weights, const float* HWY_RESTRICT scales,
                     std::size_t in, std::size_t groups, const float* HWY_RESTRICT x, float* HWY_RESTRICT sums) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  Sums<kOut, kRows> total;
  std::size_t i = 0;
  for (std::size_t group = 0; i + kGroup <= in; ++group, i += kGroup) {
    PrefetchGroup<typename Weights::Element, kOut>(weights + i, in);
    if constexpr (Weights::kGrouped) {
      Sums<kOut, kRows> part;
      for (std::size_t v = 0; v < kGroup; v += lanes) part.template Add<Weights>(weights + i + v, in, x + i + v);
      for (std::size_t o = 0; o < kOut; ++o) {
        const Vector scale = hn::Set(d, scales[o * groups + group]);
        for (std::size_t r = 0; r < kRows; ++r) {
          total.sum[o][r] = hn::MulAdd(part.sum[o][r], scale, total.sum[o][r]);
        }
      }
    } else {
      for (std::size_t v = 0; v < kGroup; v += lanes) total.template Add<Weights>(weights + i + v, in, x + i + v);
    }
  }
  for (std::size_t o = 0; o < kOut; ++o) {
    for (std::size_t r = 0; r < kRows; ++r) sums[o * kRows + r] = hn::GetLane(hn::SumOfLanes(d, total.sum[o][r]));
  }
  if (i < in) AddRest<Weights>(weights, scales, i, in, x, kOut, kRows, sums);
}

// Rows [begin, end) of the matrix against kRows of x.
template <class Weights, std::size_t kRows>
void Strip(const void* values, const float* scales, std::size_t out, std::size_t in, std::size_t begin, std::size_t end,
           const float* x, const float* bias, float* y) {
  constexpr std::size_t kMostSums = kManyRegisters ? 16 : 8, kMostOut = kRows == 1 ? 4 : 2;
  constexpr std::size_t kOut = kMostSums / kRows < kMostOut ? kMostSums / kRows : kMostOut;
  const auto* const weights = static_cast<const typename Weights::Element*>(values);
  const std::size_t groups = (in + kGroup - 1) / kGroup;
  float sums[kOut * kRows];
  const auto put = [&](std::size_t first, std::size_t count) HWY_ATTR {
    for (std::size_t o = 0; o < count; ++o) {
      for (std::size_t r = 0; r < kRows; ++r) {
        y[r * out + first + o] = sums[o * kRows + r] + (bias == nullptr ? 0.0F : bias[first + o]);
      }
    }
  };
  std::size_t o = begin;
  for (; o + kOut <= end; o += kOut) {
    Tile<Weights, kOut, kRows>(weights + o * in, scales + o * groups, in, groups, x, sums);
    put(o, kOut);
  }
  for (; o < end; ++o) {
    Tile<Weights, 1, kRows>(weights + o * in, scales + o * groups, in, groups, x, sums);
    put(o, 1);
  }
}

template <class Weights>
void Strips(const void* values, const float* scales, std::size_t out, std::size_t in, std::size_t begin,
            std::size_t end, std::size_t rows, const float* x, const float* bias, float* y) {
  std::size_t row = 0;
  const auto take = [&](auto strip, std::size_t count) {
    strip(values, scales, out, in, begin, end, x + row * in, bias, y + row * out);
    row += count;
  };
  while (rows - row >= 8) take(Strip<Weights, 8>, 8);
  if (rows - row >= 4) take(Strip<Weights, 4>, 4);
  if (rows - row >= 2) take(Strip<Weights, 2>, 2);
  if (rows - row == 1) take(Strip<Weights, 1>, 1);
}

void Float32Strips(const void* values, const float* scales, std::size_t out, std::size_t in, std::size_t begin,
                   std::size_t end, std::size_t rows, const float* x, const float* bias, float* y) {
  Strips<Float32Weights>(values, scales, out, in, begin, end, rows, x, bias, y);
}

void BFloat16Strips(const void* values, const float* scales, std::size_t out, std::size_t in, std::size_t begin,
                    std::size_t end, std::size_t rows, const float* x, const float* bias, float* y) {
  Strips<BFloat16Weights>(values, scales, out, in, begin, end, rows, x, bias, y);
}

void Int8Strips(const void* values, const float* scales, std::size_t out, std::size_t in, std::size_t begin,
                std::size_t end, std::size_t rows, const float* x, const float* bias, float* y) {
  Strips<Int8Weights>(values, scales, out, in, begin, end, rows, x, bias, y);
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include "kinglet/base/parallel.h"

namespace kinglet {

HWY_EXPORT(Float32Strips);
HWY_EXPORT(BFloat16Strips);
HWY_EXPORT(Int8Strips);

void few_rows_product(const WeightMatrix& weights, std::int64_t rows, const float* x, const float* bias, float* y) {
  // Strips that are long enough for a steady stream from memory, short enough to share the work evenly, and within the
  // second cache, where their weights stay while all blocks of rows pass over them.
  constexpr std::int64_t kLeastBytes = 1 << 14, kMostBytes = 1 << 18, kStripsAThread = 8;
  const std::int64_t element = weights.kind == WeightKind::kFloat32 ? 4 : weights.kind == WeightKind::kBFloat16 ? 2 : 1;
  const std::int64_t row_bytes = std::max<std::int64_t>(1, weights.in * element);
  const std::int64_t bytes =
      std::clamp(weights.out * row_bytes / (kStripsAThread * num_threads()), kLeastBytes, kMostBytes);
  const std::int64_t strip = std::max<std::int64_t>(4, bytes / row_bytes / 4 * 4);
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  parallel_ranges(weights.out, strip, [&](std::int64_t begin, std::int64_t end) {
    switch (weights.kind) {
      case WeightKind::kFloat32:
        HWY_DYNAMIC_DISPATCH(Float32Strips)
        (weights.values, nullptr, size(weights.out), size(weights.in), size(begin), size(end), size(rows), x, bias, y);
        break;
      case WeightKind::kBFloat16:
        HWY_DYNAMIC_DISPATCH(BFloat16Strips)
        (weights.values, nullptr, size(weights.out), size(weights.in), size(begin), size(end), size(rows), x, bias, y);
        break;
      case WeightKind::kInt8:
        HWY_DYNAMIC_DISPATCH(Int8Strips)
        (weights.values, weights.scales, size(weights.out), size(weights.in), size(begin), size(end), size(rows), x,
         bias, y);
        break;
    }
  });
}

void quantize_int8_row(const float* row, std::int64_t in, std::int8_t* values, float* scales) {
  for (std::int64_t begin = 0; begin < in; begin += kInt8Group) {
    const std::int64_t end = std::min(in, begin + kInt8Group);
    float largest = 0.0F;
    for (std::int64_t i = begin; i < end; ++i) largest = std::max(largest, std::abs(row[i]));
    const float scale = largest / 127.0F, inverse = largest == 0.0F ? 0.0F : 127.0F / largest;
    scales[begin / kInt8Group] = scale;
    for (std::int64_t i = begin; i < end; ++i) {
      values[i] = static_cast<std::int8_t>(std::clamp(std::nearbyint(row[i] * inverse), -127.0F, 127.0F));
    }
  }
}

void dequantize_int8_row(const std::int8_t* values, const float* scales, std::int64_t in, float* row) {
  for (std::int64_t i = 0; i < in; ++i) row[i] = static_cast<float>(values[i]) * scales[i / kInt8Group];
}

}  // namespace kinglet
#endif  // HWY_ONCE
