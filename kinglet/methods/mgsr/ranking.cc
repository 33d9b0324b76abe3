#include "kinglet/methods/mgsr/ranking.h"

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "kinglet/base/parallel.h"
#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {
namespace {

// fp32 numbers as integers that grow where the numbers fall.
std::uint32_t descending_key(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0F);  // -0 and 0 are equal
  return (bits & 0x80000000U) != 0 ? bits : ~(bits | 0x80000000U);
}

struct Item {
  std::uint32_t key, number;
};

// Radix sort, 11 bits at a time: its time does not depend on the values, and equal keys keep their order.
void sort_row(const float* values, std::int64_t count, std::vector<Item>& items, std::vector<Item>& others,
              std::int64_t* order) {
  constexpr unsigned kBits = 11, kBuckets = 1U << kBits;
  std::array<std::array<std::uint32_t, kBuckets>, 3> starts{};
  const auto size = static_cast<std::size_t>(count);
  items.resize(size);
  others.resize(size);
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint32_t key = descending_key(values[i]);
    items[i] = {key, static_cast<std::uint32_t>(i)};
    for (unsigned digit = 0; digit < 3; ++digit) ++starts[digit][key >> (kBits * digit) & (kBuckets - 1)];
  }
  for (unsigned digit = 0; digit < 3; ++digit) {
    std::uint32_t before = 0;
    for (std::uint32_t& start : starts[digit]) {
      const std::uint32_t here = start;
      start = before;
      before += here;
    }
    for (const Item& item : items) others[starts[digit][item.key >> (kBits * digit) & (kBuckets - 1)]++] = item;
    items.swap(others);
  }
  for (std::size_t i = 0; i < size; ++i) order[i] = items[i].number;
}

}  // namespace

at::Tensor descending_order(const at::Tensor& values) {
  TORCH_CHECK(values.dim() == 2, "ranking: values ", values.sizes());
  if (values.scalar_type() != at::kFloat) return values.argsort(/*stable=*/true, -1, /*descending=*/true);
  const at::Tensor input = values.contiguous();
  const std::int64_t rows = input.size(0), classes = input.size(1);
  at::Tensor order = at::empty({rows, classes}, at::kLong);
  const float* const from = input.data_ptr<float>();
  std::int64_t* const to = order.data_ptr<std::int64_t>();
  parallel_ranges(rows, 4, [&](std::int64_t begin, std::int64_t end) {
    std::vector<Item> items, others;
    for (std::int64_t row = begin; row < end; ++row) {
      sort_row(from + row * classes, classes, items, others, to + row * classes);
    }
  });
  return order;
}

}  // namespace kinglet::mgsr
