// What the operators do with tensors of a GPU: the same code with its kernels run on the CPU, against the operators of
// the CPU; and on a GPU, where Kinglet was built with CUDA and there is one.
#ifndef KINGLET_CUDA
#include "tests/kernels/cuda_on_cpu.h"

#include "kinglet/kernels/cuda/memory_layer.cu"
#include "kinglet/methods/memoryformer/cuda/memory_operators_cuda.cc"

namespace kinglet::cuda {
Stream current_stream(const at::Tensor& /*x*/) { return nullptr; }
}  // namespace kinglet::cuda
#endif

#include <gtest/gtest.h>

#include "kinglet/methods/memoryformer/memory_operators.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

struct CudaCase {
  std::int64_t tokens, tables;
  int bits;
  std::int64_t width;
};
constexpr CudaCase kCudaCases[] = {{1, 5, 4, 64}, {33, 9, 8, 37}, {65, 1, 9, 300}, {7, 1, 16, 4}, {0, 3, 4, 8}};

void expect_near(const at::Tensor& got, const at::Tensor& expected) {
  ASSERT_EQ(got.sizes(), expected.sizes());
  EXPECT_LE((got - expected).abs().sum().item<double>(), 1e-5 * expected.abs().sum().item<double>() + 1e-9);
}

#ifndef KINGLET_CUDA

TEST(MemoryOperatorsCuda, EachStepIsThatOfTheCpu) {
  torch::manual_seed(1);
  for (const CudaCase& c : kCudaCases) {
    SCOPED_TRACE(testing::Message() << c.tokens << " tokens, " << c.bits << " bits");
    const MemoryShape shape{c.tables, c.bits, c.width};
    const MemoryWeighting weighting{MemoryScore::kSumProb, 0.9};
    at::Tensor x = torch::randn({c.tokens, shape.inputs()}).requires_grad_();
    at::Tensor rows = torch::randn({shape.rows(), c.width}).requires_grad_();
    const at::Tensor bias = torch::randn({c.width}), slope = torch::randn({c.tokens, c.width});
    const MemoryCodes expected = memory_codes(x, c.tables, c.bits, weighting, "x");
    expected.weights.retain_grad();
    const at::Tensor y = memory_lookup(expected, rows, bias, c.bits, false);
    y.backward(slope);

    const at::NoGradGuard no_grad;
    const at::Tensor codes = at::empty_like(expected.codes), weights = at::empty_like(expected.weights.detach());
    cuda::hash_on_gpu(shape, weighting, x, codes, weights);
    EXPECT_TRUE(codes.equal(expected.codes));
    expect_near(weights, expected.weights);
    expect_near(cuda::gather_on_gpu(shape, rows, codes, weights, bias), y);
    expect_near(cuda::gather_on_gpu(shape, rows, codes, weights, at::empty({0})), y - bias);
    const at::Tensor grad_weights = cuda::weight_gradient_on_gpu(shape, rows, codes, slope);
    expect_near(grad_weights, expected.weights.grad());
    expect_near(cuda::hash_backward_on_gpu(shape, weighting, x, grad_weights), x.grad());
    if (shape.rows() > 3000) continue;  // a block a row: slow on a CPU
    const at::Tensor dense = cuda::row_gradient_on_gpu(shape, codes, weights, slope, false);
    expect_near(dense, rows.grad());
    const at::Tensor sparse = cuda::row_gradient_on_gpu(shape, codes, weights, slope, true);
    EXPECT_TRUE(sparse.is_coalesced());
    EXPECT_TRUE(sparse.to_dense().equal(dense));
    EXPECT_LE(sparse._nnz(), c.tokens * c.tables);
  }
}

#else

TEST(MemoryOperatorsCuda, AreThoseOfTheCpu) {
  if (!at::globalContext().hasCUDA() || at::detail::getCUDAHooks().getNumGPUs() == 0) GTEST_SKIP() << "there is no GPU";
  torch::manual_seed(1);
  for (const CudaCase& c : kCudaCases) {
    for (const bool sparse : {false, true}) {
      SCOPED_TRACE(testing::Message() << c.tokens << " tokens, " << c.bits << " bits, sparse " << sparse);
      const at::Tensor x = torch::randn({c.tokens, c.tables * c.bits}), bias = torch::randn({c.width});
      const at::Tensor rows = torch::randn({c.tables << c.bits, c.width}), slope = torch::randn({c.tokens, c.width});
      const auto run = [&](at::Device device) {
        std::vector<at::Tensor> leaves;
        for (const at::Tensor& leaf : {x, rows, bias}) leaves.push_back(leaf.to(device).clone().requires_grad_());
        const MemoryCodes codes = memory_codes(leaves[0], c.tables, c.bits, {MemoryScore::kSumProb, 0.9}, "x");
        const at::Tensor y = memory_lookup(codes, leaves[1], leaves[2], c.bits, sparse);
        y.backward(slope.to(device));
        std::vector<at::Tensor> results{codes.codes.cpu(), y.detach().cpu()};
        for (const at::Tensor& leaf : leaves) results.push_back(leaf.grad().to_dense().cpu());
        return results;
      };
      const auto expected = run(at::kCPU), got = run(at::Device(at::kCUDA, 0)), again = run(at::Device(at::kCUDA, 0));
      EXPECT_TRUE(got[0].equal(expected[0]));
      for (std::size_t i = 1; i < got.size(); ++i) {
        expect_near(got[i], expected[i]);
        EXPECT_TRUE(again[i].equal(got[i])) << "results depend on timing";
      }
    }
  }
}

#endif

}  // namespace
}  // namespace kinglet
