#include <cstring>

#include "kinglet/kernels/cuda/launch.h"
#include "kinglet/kernels/cuda/memory_layer_cuda.h"
#include "kinglet/kernels/memory_reference.h"

namespace kinglet::cuda {
namespace {

constexpr int kWarp = 32, kWarps = 8, kThreads = kWarp * kWarps;
constexpr int kWide = 16;  // bytes that a thread reads at once, where rows begin at multiples of it

__device__ inline float widened(float value) { return value; }
__device__ inline float widened(std::uint16_t bfloat16) {
  const std::uint32_t bits = static_cast<std::uint32_t>(bfloat16) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// kColumns neighbours, read as one word.
template <typename Element, int kColumns>
struct alignas(sizeof(Element) * kColumns) Columns {
  Element of[kColumns];
};

template <int kColumns, typename Element>
__device__ inline Columns<Element, kColumns> columns_at(const Element* place) {
  return *static_cast<const Columns<Element, kColumns>*>(static_cast<const void*>(place));
}

// What the warps of a block summed for the columns of its tile, added in the order of the warps: `store(column, sum)`
// for each column of the tile below width. Every thread of the block must come here.
template <int kColumns, typename Store>
__device__ inline void add_warps(const float (&sum)[kColumns], std::int64_t tile, std::int64_t width,
                                 const Store& store) {
  constexpr int kTile = kWarp * kColumns;
  __shared__ float sums[kWarps][kTile];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  for (int i = 0; i < kColumns; ++i) sums[warp][i * kWarp + lane] = sum[i];
  __syncthreads();
  for (int j = static_cast<int>(threadIdx.x); j < kTile; j += kThreads) {
    const std::int64_t column = tile * kTile + j;
    if (column >= width) continue;
    const int place = j % kColumns * kWarp + j / kColumns;
    float total = 0.0F;
    for (int w = 0; w < kWarps; ++w) total += sums[w][place];
    store(column, total);
  }
}

__global__ void hash_kernel(MemoryShape shape, MemoryWeighting weighting, std::int64_t chunks, const float* x,
                            std::uint16_t* codes, float* weights) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= chunks) return;
  const float* const z = x + i * shape.bits;
  const MemoryChunk<float> chunk(weighting, shape.bits, z);
  float weight = chunk.weight;
  for (int j = 0; j < shape.bits; ++j) {
    if (z[j] != z[j]) weight = z[j];
  }
  codes[i] = chunk.code;
  weights[i] = weight;
}

__global__ void hash_backward_kernel(MemoryShape shape, MemoryWeighting weighting, std::int64_t chunks, const float* x,
                                     const float* grad_weights, float* grad_x) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= chunks) return;
  float slope[kMostMemoryBits];
  const MemoryChunk<float> chunk(weighting, shape.bits, x + i * shape.bits, slope);
  for (int j = 0; j < shape.bits; ++j) grad_x[i * shape.bits + j] = slope[j] * grad_weights[i];
}

// A block: one token and a tile of columns, the tables shared among its warps. Blocks of one tile follow each other
// (tokens are blockIdx.x), which keeps the tile's part of the tables in the second-level cache.
template <typename Element, int kColumns>
__global__ void gather_kernel(MemoryShape shape, const Element* rows, const std::uint16_t* codes, const float* weights,
                              const float* bias, float* out) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t token = blockIdx.x, tile = blockIdx.y, first = (tile * kWarp + lane) * kColumns;
  float sum[kColumns] = {};
  if (first < shape.width) {
#pragma unroll 4
    for (std::int64_t k = warp; k < shape.tables; k += kWarps) {
      const std::int64_t at = token * shape.tables + k;
      const auto row = columns_at<kColumns>(rows + ((k << shape.bits) + codes[at]) * shape.width + first);
      const float weight = weights[at];
      for (int i = 0; i < kColumns; ++i) sum[i] += weight * widened(row.of[i]);
    }
  }
  add_warps<kColumns>(sum, tile, shape.width, [&](std::int64_t column, float total) {
    out[token * shape.width + column] = bias == nullptr ? total : bias[column] + total;
  });
}

// A warp: one token and one table.
template <int kColumns>
__global__ void weight_gradient_kernel(MemoryShape shape, const float* rows, const std::uint16_t* codes,
                                       const float* grad_out, float* grad_weights) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t token = blockIdx.x, k = static_cast<std::int64_t>(blockIdx.y) * kWarps + warp;
  const std::int64_t at = token * shape.tables + k;
  float dot = 0.0F;
  if (k < shape.tables) {
    const float* const row = rows + ((k << shape.bits) + codes[at]) * shape.width;
    const float* const slope = grad_out + token * shape.width;
    for (std::int64_t column = lane * kColumns; column < shape.width; column += kWarp * kColumns) {
      const auto a = columns_at<kColumns>(row + column), b = columns_at<kColumns>(slope + column);
      for (int i = 0; i < kColumns; ++i) dot += a.of[i] * b.of[i];
    }
  }
  for (int distance = kWarp / 2; distance > 0; distance /= 2) dot += __shfl_xor_sync(0xffffffffU, dot, distance);
  if (lane == 0 && k < shape.tables) grad_weights[at] = dot;
}

// The first of n ascending codes that is not below `code`.
__device__ inline std::int64_t first_not_below(const std::int32_t* codes, std::int64_t n, std::int32_t code) {
  std::int64_t begin = 0, end = n;
  while (begin < end) {
    const std::int64_t middle = (begin + end) / 2;
    if (codes[middle] < code) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

// A block: one row and a tile of its columns, the row's tokens shared among the warps.
template <int kColumns>
__global__ void row_gradient_kernel(MemoryShape shape, std::int64_t tokens, SortedTokens sorted,
                                    const std::int64_t* wanted, const float* weights, const float* grad_out,
                                    float* grad_rows) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t number = blockIdx.x, tile = blockIdx.y, first = (tile * kWarp + lane) * kColumns;
  const std::int64_t row = wanted == nullptr ? number : wanted[number], k = row >> shape.bits;
  const auto code = static_cast<std::int32_t>(row - (k << shape.bits));
  const std::int32_t* const codes = sorted.codes + k * tokens;
  const std::int64_t begin = first_not_below(codes, tokens, code);
  const std::int64_t end = begin + first_not_below(codes + begin, tokens - begin, code + 1);
  float sum[kColumns] = {};
  if (first < shape.width) {
#pragma unroll 4
    for (std::int64_t at = begin + warp; at < end; at += kWarps) {
      const std::int64_t n = sorted.tokens[k * tokens + at];
      const auto slope = columns_at<kColumns>(grad_out + n * shape.width + first);
      const float weight = weights[n * shape.tables + k];
      for (int i = 0; i < kColumns; ++i) sum[i] += weight * slope.of[i];
    }
  }
  add_warps<kColumns>(sum, tile, shape.width,
                      [&](std::int64_t column, float total) { grad_rows[number * shape.width + column] = total; });
}

template <typename Number>
unsigned parts(std::int64_t n, Number size) {
  return static_cast<unsigned>((n + size - 1) / size);
}

// Whether threads may read kWide bytes at once of rows of `width` elements at each of the places.
bool is_wide(std::int64_t width, std::size_t element, std::initializer_list<const void*> places) {
  for (const void* place : places) {
    if (reinterpret_cast<std::uintptr_t>(place) % kWide != 0) return false;
  }
  return static_cast<std::size_t>(width) * element % kWide == 0;
}

template <typename Element>
void gather(const MemoryShape& shape, const Element* rows, std::int64_t tokens, const std::uint16_t* codes,
            const float* weights, const float* bias, float* out, Stream stream) {
  constexpr int kColumns = kWide / sizeof(Element);
  const bool wide = is_wide(shape.width, sizeof(Element), {rows});
  const dim3 grid(static_cast<unsigned>(tokens), parts(shape.width, kWarp * (wide ? kColumns : 1)));
  launch(wide ? gather_kernel<Element, kColumns> : gather_kernel<Element, 1>, grid, dim3(kThreads), stream, shape, rows,
         codes, weights, bias, out);
}

}  // namespace

void memory_hash(const MemoryShape& shape, const MemoryWeighting& weighting, std::int64_t tokens, const float* x,
                 std::uint16_t* codes, float* weights, Stream stream) {
  const std::int64_t chunks = tokens * shape.tables;
  if (chunks == 0) return;
  launch(hash_kernel, dim3(parts(chunks, kThreads)), dim3(kThreads), stream, shape, weighting, chunks, x, codes,
         weights);
}

void memory_hash_backward(const MemoryShape& shape, const MemoryWeighting& weighting, std::int64_t tokens,
                          const float* x, const float* grad_weights, float* grad_x, Stream stream) {
  const std::int64_t chunks = tokens * shape.tables;
  if (chunks == 0) return;
  launch(hash_backward_kernel, dim3(parts(chunks, kThreads)), dim3(kThreads), stream, shape, weighting, chunks, x,
         grad_weights, grad_x);
}

void memory_gather(const MemoryShape& shape, const void* rows, DType dtype, std::int64_t tokens,
                   const std::uint16_t* codes, const float* weights, const float* bias, float* out, Stream stream) {
  if (tokens == 0 || shape.width == 0) return;
  if (dtype == DType::kBF16) {
    gather(shape, static_cast<const std::uint16_t*>(rows), tokens, codes, weights, bias, out, stream);
  } else {
    gather(shape, static_cast<const float*>(rows), tokens, codes, weights, bias, out, stream);
  }
}

void memory_weight_gradient(const MemoryShape& shape, const float* rows, std::int64_t tokens,
                            const std::uint16_t* codes, const float* grad_out, float* grad_weights, Stream stream) {
  if (tokens == 0 || shape.tables == 0) return;
  const bool wide = is_wide(shape.width, sizeof(float), {rows, grad_out});
  launch(wide ? weight_gradient_kernel<4> : weight_gradient_kernel<1>,
         dim3(static_cast<unsigned>(tokens), parts(shape.tables, kWarps)), dim3(kThreads), stream, shape, rows, codes,
         grad_out, grad_weights);
}

void memory_row_gradient(const MemoryShape& shape, std::int64_t tokens, const SortedTokens& sorted,
                         const std::int64_t* wanted, std::int64_t count, const float* weights, const float* grad_out,
                         float* grad_rows, Stream stream) {
  if (count == 0 || shape.width == 0) return;
  const bool wide = is_wide(shape.width, sizeof(float), {grad_out});
  launch(wide ? row_gradient_kernel<4> : row_gradient_kernel<1>,
         dim3(static_cast<unsigned>(count), parts(shape.width, kWarp * (wide ? 4 : 1))), dim3(kThreads), stream, shape,
         tokens, sorted, wanted, weights, grad_out, grad_rows);
}

}  // namespace kinglet::cuda
