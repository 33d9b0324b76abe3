// Walking a parameter's arrays in cache-sized windows, in parallel over blocks. Shared by the passes of the encoder.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kinglet/base/interrupt.h"
#include "kinglet/base/parallel.h"
#include "kinglet/kernels/statistics.h"
#include "kinglet/methods/excp/delta_codec.h"

namespace kinglet::excp {

inline constexpr std::uint64_t kWindowElements = 16384;

// fp32 views of all arrays over one window; null where the parameter has no such array.
struct Window {
  std::uint64_t begin = 0;  // in the tensor
  std::uint64_t n = 0;
  const float* delta = nullptr;  // weight - reference
  const float* weight = nullptr;
  const float* first = nullptr;
  const float* second = nullptr;
  const float* max_second = nullptr;
};

// Owns the conversion buffers of one worker.
class WindowReader {
 public:
  explicit WindowReader(const DeltaInput& input) : input_(input), delta_(kWindowElements) {}

  Window residual(std::uint64_t begin, std::uint64_t n) {
    const float* weight = view_f32(input_.weight, begin, n, scratch(weight_));
    subtract(weight, input_.reference.data() + begin, n, delta_.data());
    return {begin, n, delta_.data(), weight};
  }
  Window all(std::uint64_t begin, std::uint64_t n) {
    Window window = residual(begin, n);
    if (input_.first_moment) window.first = view_f32(*input_.first_moment, begin, n, scratch(first_));
    if (input_.second_moment) window.second = view_f32(*input_.second_moment, begin, n, scratch(second_));
    if (input_.max_second_moment) window.max_second = view_f32(*input_.max_second_moment, begin, n, scratch(max_));
    return window;
  }

 private:
  static float* scratch(std::vector<float>& buffer) {
    buffer.resize(kWindowElements);
    return buffer.data();
  }
  const DeltaInput& input_;
  std::vector<float> delta_, weight_, first_, second_, max_;
};

// How many workers share a tensor; each keeps its own tables.
inline std::int64_t worker_count(std::uint64_t n) {
  return std::max<std::int64_t>(1, std::min<std::int64_t>(num_threads(), static_cast<std::int64_t>(block_count(n))));
}

// body(worker, block) for every block; blocks of one worker come in ascending order.
template <typename Body>
void for_each_block(std::uint64_t n, std::int64_t workers, const Body& body) {
  parallel_for(workers, [&](std::int64_t worker) {
    for (auto block = static_cast<std::uint64_t>(worker); block < block_count(n);
         block += static_cast<std::uint64_t>(workers)) {
      check_interrupt();
      body(static_cast<std::size_t>(worker), block);
    }
  });
}

// body(begin, n) for the windows of one block.
template <typename Body>
void for_each_window(std::uint64_t n, std::uint64_t block, const Body& body) {
  const std::uint64_t end = block * kBlockElements + block_size(n, block);
  for (std::uint64_t begin = block * kBlockElements; begin < end; begin += kWindowElements) {
    body(begin, std::min(kWindowElements, end - begin));
  }
}

}  // namespace kinglet::excp
