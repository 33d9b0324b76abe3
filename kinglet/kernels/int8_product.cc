#include "kinglet/kernels/int8_product.h"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "kinglet/base/parallel.h"
#include "kinglet/kernels/matmul.h"

namespace kinglet {
namespace {

constexpr std::int64_t kBlockElements = 1 << 20;  // of the weights at once
constexpr std::int64_t kFewestLines = 64;         // of a block, however long they are
constexpr std::int64_t kPieceElements = 1 << 15;  // of a conversion, for one thread

using Half = std::uint16_t;  // bf16

std::int64_t lines_of(std::int64_t elements, std::int64_t line) { return std::max<std::int64_t>(1, elements / line); }

void round_to_halves(const float* from, std::int64_t count, Half* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = float_to_bfloat16(from[i]);
}

// Lines [first, first + count) of the weights as Element (float or Half), one behind the other.
template <typename Element>
void dequantize(const WeightMatrix& weights, std::int64_t first, std::int64_t count, Element* block) {
  const std::int64_t in = weights.in, groups = (in + kInt8Group - 1) / kInt8Group;
  parallel_ranges(count, lines_of(kPieceElements, in), [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> wide;
    for (std::int64_t line = begin; line < end; ++line) {
      const auto* values = static_cast<const std::int8_t*>(weights.values) + (first + line) * in;
      const float* scales = weights.scales + (first + line) * groups;
      if constexpr (std::is_same_v<Element, float>) {
        dequantize_int8_row(values, scales, in, block + line * in);
      } else {
        wide.resize(static_cast<std::size_t>(in));
        dequantize_int8_row(values, scales, in, wide.data());
        round_to_halves(wide.data(), in, block + line * in);
      }
    }
  });
}

template <typename Element>
void multiply(const WeightMatrix& weights, std::int64_t rows, const Element* x, const float* bias, float* y) {
  constexpr DType kType = std::is_same_v<Element, float> ? DType::kF32 : DType::kBF16;
  // Kept from call to call: pages of fresh memory cost more than what is written into them.
  thread_local std::vector<Element> kept;
  const std::int64_t in = weights.in, out = weights.out;
  const std::int64_t lines = std::min(out, std::max(kFewestLines, lines_of(kBlockElements, in)));
  if (kept.size() < static_cast<std::size_t>(lines * in)) kept.resize(static_cast<std::size_t>(lines * in));
  Element* const block = kept.data();  // not the other threads' one
  for (std::int64_t first = 0; first < out; first += lines) {
    const std::int64_t count = std::min(lines, out - first);
    dequantize(weights, first, count, block);
    const ConstMatrix left{x, kType, rows, in, in, 1, 0}, right{block, kType, count, in, in, 1, 0};
    matmul(left, right.transposed(), {y + first, DType::kF32, rows, count, out, 1, 0}, 1,
           bias == nullptr ? nullptr : bias + first);
  }
}

}  // namespace

void int8_product(const WeightMatrix& weights, std::int64_t rows, const float* x, const float* bias, float* y) {
  assert(weights.kind == WeightKind::kInt8 && weights.in > 0);
  if (!multiplies_bfloat16()) {
    multiply(weights, rows, x, bias, y);
    return;
  }
  std::vector<Half> halves(static_cast<std::size_t>(rows * weights.in));
  parallel_ranges(rows * weights.in, kPieceElements, [&](std::int64_t begin, std::int64_t end) {
    round_to_halves(x + begin, end - begin, halves.data() + begin);
  });
  multiply(weights, rows, halves.data(), bias, y);
}

}  // namespace kinglet
