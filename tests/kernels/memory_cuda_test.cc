// The CUDA kernels of the Memory Layer, run on the CPU thread by thread, against the plain loops.
#include <numeric>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kernels/cuda_on_cpu.h"
#include "tests/kernels/memory_layer_cases.h"

#include "kinglet/kernels/cuda/memory_layer.cu"

namespace kinglet {
namespace {

using testing_support::kScores;
using testing_support::largest_difference;
using testing_support::Layer;
using testing_support::LayerCase;

std::string name_of(const LayerCase& c) {
  return fmt::format("{} tokens, {} tables, {} bits, width {}", c.tokens, c.tables, c.bits, c.width);
}

// Widths that are read a number at a time and in words, more tiles than one, and more tables than warps; few blocks,
// because a CPU takes 0.2 ms for each.
constexpr LayerCase kCudaCases[] = {{1, 5, 4, 64},   {2, 19, 1, 37},  {65, 19, 3, 37}, {9, 1, 8, 300}, {3, 40, 1, 131},
                                    {1, 20, 1, 520}, {64, 3, 5, 128}, {5, 1, 10, 64},  {0, 3, 4, 8},   {4, 1, 16, 5}};

// What `run` writes into a vector of n numbers, the same to the last bit whatever thread goes first.
template <typename Run>
std::vector<float> in_both_orders(std::size_t n, const Run& run) {
  std::vector<float> forward(n, -7.0F), backward(n, -9.0F);
  run(forward.data());
  cuda::threads_reversed = true;
  run(backward.data());
  cuda::threads_reversed = false;
  EXPECT_EQ(forward, backward);
  return forward;
}

TEST(MemoryCuda, HashIsTheReference) {
  for (const LayerCase& c : kCudaCases) {
    SCOPED_TRACE(name_of(c));
    for (const MemoryScore score : kScores) {
      const Layer layer(c, score);
      std::vector<std::uint16_t> codes(layer.codes.size());
      std::vector<float> weights(layer.weights.size()), grad_x(layer.x.size());
      cuda::memory_hash(layer.shape, layer.weighting, c.tokens, layer.x.data(), codes.data(), weights.data(), nullptr);
      EXPECT_EQ(codes, layer.codes);
      EXPECT_LT(largest_difference(weights, layer.weights), 1e-6);
      cuda::memory_hash_backward(layer.shape, layer.weighting, c.tokens, layer.x.data(), layer.grad_weights.data(),
                                 grad_x.data(), nullptr);
      EXPECT_LT(largest_difference(grad_x, layer.grad_x), 1e-6);
    }
  }
}

TEST(MemoryCuda, ANanShowsInItsWeightAlone) {
  const MemoryShape shape{2, 3, 1};
  std::vector<float> x(12, 0.5F);
  x[7] = std::nanf("");
  for (const MemoryScore score : kScores) {
    std::vector<std::uint16_t> codes(4);
    std::vector<float> weights(4);
    cuda::memory_hash(shape, {score, 1.0}, 2, x.data(), codes.data(), weights.data(), nullptr);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(std::isnan(weights[i]), i == 2);
  }
}

TEST(MemoryCuda, GatherIsTheReference) {
  for (const LayerCase& c : kCudaCases) {
    SCOPED_TRACE(name_of(c));
    const Layer layer(c);
    std::vector<std::uint16_t> half(layer.tables.size());
    std::transform(layer.tables.begin(), layer.tables.end(), half.begin(), float_to_bfloat16);
    // Tables behind one element that is none: no longer where a thread can read words.
    std::vector<float> moved(layer.tables.size() + 1);
    std::copy(layer.tables.begin(), layer.tables.end(), moved.begin() + 1);
    const auto gather = [&](const void* rows, DType dtype, const float* bias) {
      return in_both_orders(layer.y.size(), [&](float* y) {
        cuda::memory_gather(layer.shape, rows, dtype, c.tokens, layer.codes.data(), layer.weights.data(), bias, y,
                            nullptr);
      });
    };
    const std::vector<float> y = gather(layer.tables.data(), DType::kF32, layer.bias.data());
    EXPECT_LT(largest_difference(y, layer.y), 1e-5);
    EXPECT_EQ(gather(moved.data() + 1, DType::kF32, layer.bias.data()), y);
    EXPECT_LT(largest_difference(gather(half.data(), DType::kBF16, layer.bias.data()), layer.y), 2e-2);
    std::vector<float> bare = gather(layer.tables.data(), DType::kF32, nullptr);
    for (std::size_t i = 0; i < bare.size(); ++i) bare[i] += layer.bias[i % layer.bias.size()];
    EXPECT_LT(largest_difference(bare, layer.y), 1e-5);
  }
}

// The tokens of a layer by their codes, as a stable sort gives them.
struct Sorted {
  explicit Sorted(const Layer& layer) {
    for (std::int64_t k = 0; k < layer.shape.tables; ++k) {
      const auto code = [&](std::int64_t n) {
        return layer.codes[static_cast<std::size_t>(n * layer.shape.tables + k)];
      };
      std::vector<std::int64_t> order(static_cast<std::size_t>(layer.tokens));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return code(a) < code(b); });
      for (const std::int64_t n : order) {
        codes.push_back(code(n));
        tokens.push_back(n);
        const std::int64_t row = (k << layer.shape.bits) + code(n);
        if (rows.empty() || rows.back() != row) rows.push_back(row);
      }
    }
  }
  cuda::SortedTokens view() const { return {codes.data(), tokens.data()}; }
  std::vector<std::int32_t> codes;
  std::vector<std::int64_t> tokens, rows;  // rows: those that were read, ascending
};

TEST(MemoryCuda, GradientsAreTheReference) {
  for (const LayerCase& c : kCudaCases) {
    SCOPED_TRACE(name_of(c));
    const Layer layer(c);
    if (layer.shape.rows() > 2000) continue;  // a block a row: slow on a CPU
    const Sorted sorted(layer);
    const auto row_gradient = [&](const std::int64_t* wanted, std::int64_t count) {
      return in_both_orders(static_cast<std::size_t>(count * c.width), [&](float* rows) {
        cuda::memory_row_gradient(layer.shape, c.tokens, sorted.view(), wanted, count, layer.weights.data(),
                                  layer.slope.data(), rows, nullptr);
      });
    };
    const std::vector<float> dense = row_gradient(nullptr, layer.shape.rows());
    EXPECT_LT(largest_difference(dense, layer.grad_tables), 1e-5);
    const std::vector<float> read = row_gradient(sorted.rows.data(), static_cast<std::int64_t>(sorted.rows.size()));
    for (std::size_t i = 0; i < sorted.rows.size(); ++i) {
      EXPECT_TRUE(std::equal(read.begin() + static_cast<std::ptrdiff_t>(i) * c.width,
                             read.begin() + static_cast<std::ptrdiff_t>(i + 1) * c.width,
                             dense.begin() + sorted.rows[i] * c.width));
    }
    const std::vector<float> weights = in_both_orders(layer.codes.size(), [&](float* grad_weights) {
      cuda::memory_weight_gradient(layer.shape, layer.tables.data(), c.tokens, layer.codes.data(), layer.slope.data(),
                                   grad_weights, nullptr);
    });
    EXPECT_LT(largest_difference(weights, layer.grad_weights), 1e-5);
  }
}

void leaves_early() {
  if (threadIdx.x == 3) return;
  __syncthreads();
}
void half_a_warp() {
  if (threadIdx.x < 16) __shfl_xor_sync(0xffffU, 1.0F, 1);
}
// The second half reads what the first half writes, without a barrier between.
void races(float* out) {
  __shared__ float shared[64];
  shared[threadIdx.x] = static_cast<float>(threadIdx.x + 100 * blockIdx.x);
  out[threadIdx.x] = shared[63 - threadIdx.x];
}

TEST(CudaOnCpu, FindsMistakesOfBarriers) {
  EXPECT_THROW(cuda::launch(leaves_early, dim3(1), dim3(64), nullptr), std::logic_error);
  EXPECT_THROW(cuda::launch(half_a_warp, dim3(1), dim3(64), nullptr), std::logic_error);
  std::vector<float> forward(64), backward(64);
  cuda::launch(races, dim3(2), dim3(64), nullptr, forward.data());
  cuda::threads_reversed = true;
  cuda::launch(races, dim3(2), dim3(64), nullptr, backward.data());
  cuda::threads_reversed = false;
  EXPECT_NE(forward, backward);
}

}  // namespace
}  // namespace kinglet
