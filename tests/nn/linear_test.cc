#include "kinglet/nn/linear.h"

#include <gtest/gtest.h>

#include "tests/support/tensor_distance.h"

#include "kinglet/nn/precision.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

using testing_support::relative_distance;

class LinearTest : public testing::TestWithParam<std::tuple<std::vector<std::int64_t>, std::int64_t, bool>> {};

// Forward and all gradients against the product in double precision.
TEST_P(LinearTest, AgreesWithDoublePrecision) {
  const auto& [sizes, out, with_bias] = GetParam();
  torch::manual_seed(1);
  at::Tensor x = torch::randn(sizes, at::requires_grad());
  at::Tensor weight = torch::randn({out, sizes.back()}, at::requires_grad());
  at::Tensor bias = with_bias ? torch::randn({out}, at::requires_grad()) : at::Tensor();
  const at::Tensor y = nn::linear(x, weight, bias);
  const at::Tensor slope = torch::randn_like(y);
  y.backward(slope);

  const at::Tensor x64 = x.detach().to(at::kDouble), w64 = weight.detach().to(at::kDouble);
  const at::Tensor s64 = slope.to(at::kDouble).reshape({-1, out}), rows = x64.reshape({-1, sizes.back()});
  at::Tensor expected = at::matmul(x64, w64.t());
  if (with_bias) expected = expected + bias.detach();
  EXPECT_LT(relative_distance(y.detach(), expected), 1e-6);
  EXPECT_LT(relative_distance(x.grad(), at::matmul(s64, w64).view(x.sizes())), 1e-6);
  EXPECT_LT(relative_distance(weight.grad(), at::matmul(s64.t(), rows)), 1e-6);
  if (with_bias) {
    EXPECT_LT(relative_distance(bias.grad(), s64.sum(0)), 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, LinearTest,
                         testing::Combine(testing::Values(std::vector<std::int64_t>{1, 1}, std::vector<std::int64_t>{7},
                                                          std::vector<std::int64_t>{3, 5, 33},
                                                          std::vector<std::int64_t>{2, 64, 128},
                                                          std::vector<std::int64_t>{1, 1, 256}),
                                          testing::Values(1, 8, 65), testing::Bool()));

TEST(Linear, BFloat16RoundsItsOperandsOnly) {
  torch::manual_seed(2);
  const PrecisionGuard guard(Precision::kBFloat16);
  at::Tensor x = torch::randn({40, 96}, at::requires_grad()), weight = torch::randn({24, 96}, at::requires_grad());
  const at::Tensor y = nn::linear(x, weight);
  const auto rounded = [](const at::Tensor& t) { return t.detach().to(at::kBFloat16).to(at::kDouble); };
  EXPECT_EQ(y.scalar_type(), at::kFloat);
  EXPECT_LT(relative_distance(y.detach(), at::matmul(rounded(x), rounded(weight).t())), 1e-6);
  const at::Tensor slope = torch::randn_like(y);
  y.backward(slope);
  EXPECT_LT(relative_distance(weight.grad(), at::matmul(rounded(slope).t(), rounded(x))), 1e-6);
  EXPECT_EQ(weight.grad().scalar_type(), at::kFloat);
}

TEST(Linear, TakesNoRows) {
  const at::Tensor weight = torch::randn({4, 3}, at::requires_grad());
  at::Tensor x = torch::empty({0, 3}, at::requires_grad());
  const at::Tensor y = nn::linear(x, weight);
  EXPECT_EQ(y.sizes(), at::IntArrayRef({0, 4}));
  y.sum().backward();
  EXPECT_EQ(weight.grad().abs().sum().item<float>(), 0.0F);
}

TEST(Linear, RefusesShapesThatDoNotFit) {
  EXPECT_THROW(nn::linear(torch::randn({2, 3}), torch::randn({4, 5})), c10::Error);
}

}  // namespace
}  // namespace kinglet::nn
