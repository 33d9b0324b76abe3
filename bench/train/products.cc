// Matrix products of a small model's shapes in every layout: operations a second through oneDNN, and through LibTorch.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>

#include "kinglet/base/parallel.h"
#include "kinglet/kernels/matmul.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/torch_threads.h"

namespace {

using namespace kinglet;

struct Shape {
  std::int64_t m, n, k;
};
constexpr Shape kShapes[] = {{4096, 256, 256},  {4096, 1024, 256}, {4096, 256, 1024},
                             {4096, 8192, 256}, {1024, 256, 4096}, {2048, 2048, 2048}};

double best_rate(const Shape& shape, int times, const std::function<void()>& body) {
  double best = 1e30;
  for (int i = 0; i < times; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return 2e-9 * static_cast<double>(shape.m * shape.n * shape.k) / best;
}

// `a` and `b` tell whether the operand stands transposed in memory.
double rate(const Shape& shape, DType dtype, bool a, bool b) {
  const at::ScalarType type = dtype == DType::kF32 ? at::kFloat : at::kBFloat16;
  const at::Tensor left = at::ones({shape.m * shape.k}).to(type), right = at::ones({shape.k * shape.n}).to(type);
  const at::Tensor result = at::empty({shape.m, shape.n});
  const ConstMatrix x{left.data_ptr(), dtype, shape.m, shape.k, a ? 1 : shape.k, a ? shape.m : 1, 0};
  const ConstMatrix y{right.data_ptr(), dtype, shape.k, shape.n, b ? 1 : shape.n, b ? shape.k : 1, 0};
  return best_rate(shape, 8, [&] { matmul(x, y, {result.data_ptr(), DType::kF32, shape.m, shape.n, shape.n, 1, 0}); });
}

}  // namespace

int main() {
  share_torch_threads();
  std::printf("GFLOP/s, %d threads; NT: y = x W^T, NN: its gradient for x, TN: for W\n", num_threads());
  std::printf("%-18s %6s %6s %6s   %6s %6s %6s   %s\n", "m x n x k", "fp32NT", "NN", "TN", "bf16NT", "NN", "TN",
              "LibTorch fp32 NN");
  for (const Shape& shape : kShapes) {
    std::printf("%5lld %5lld %5lld ", static_cast<long long>(shape.m), static_cast<long long>(shape.n),
                static_cast<long long>(shape.k));
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      std::printf("  %6.0f %6.0f %6.0f", rate(shape, dtype, false, true), rate(shape, dtype, false, false),
                  rate(shape, dtype, true, false));
    }
    const at::Tensor a = at::ones({shape.m, shape.k}), b = at::ones({shape.k, shape.n});
    std::printf("   %8.1f\n", best_rate(shape, 1, [&] { at::mm(a, b); }));
  }
  return 0;
}
