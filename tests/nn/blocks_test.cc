// Norms and feed-forward blocks against their definitions, with gradients, in double precision.
#include <gtest/gtest.h>

#include "tests/support/tensor_distance.h"

#include "kinglet/nn/ffn.h"
#include "kinglet/nn/norm.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

using testing_support::relative_distance;

at::Tensor doubled(const at::Tensor& t) { return t.detach().to(at::kDouble).requires_grad_(); }

class RmsNormTest : public testing::TestWithParam<std::tuple<std::int64_t, std::int64_t, double>> {};

TEST_P(RmsNormTest, AgreesWithTheDefinition) {
  const auto& [rows, dim, offset] = GetParam();
  torch::manual_seed(5);
  RmsNorm norm(dim, 1e-5, offset);
  at::Tensor weight = norm.named_parameters()["weight"];
  {
    const at::NoGradGuard no_grad;
    weight.normal_();
  }
  at::Tensor x = torch::randn({2, rows, dim}, at::requires_grad());
  const at::Tensor y = norm.forward(x), slope = torch::randn_like(y);
  y.backward(slope);
  const at::Tensor x64 = doubled(x), w64 = doubled(weight);
  const at::Tensor expected = x64 * at::rsqrt(x64.square().mean(-1, true) + 1e-5) * (w64 + offset);
  expected.backward(slope.to(at::kDouble));
  EXPECT_LT(relative_distance(y.detach(), expected.detach()), 1e-6);
  EXPECT_LT(relative_distance(x.grad(), x64.grad()), 1e-5);
  EXPECT_LT(relative_distance(weight.grad(), w64.grad()), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Shapes, RmsNormTest,
                         testing::Combine(testing::Values(1, 70, 200), testing::Values(2, 15, 64, 257),
                                          testing::Values(0.0, 1.0)));

class GatedFfnTest : public testing::TestWithParam<Activation> {};

TEST_P(GatedFfnTest, AgreesWithTheDefinition) {
  torch::manual_seed(6);
  const auto dense = [](std::int64_t in, std::int64_t out) {
    auto projection = std::make_shared<DenseProjection>(in, out, false);
    const at::NoGradGuard no_grad;
    projection->weight.normal_(0.0, 0.7);
    return projection;
  };
  const auto gate = dense(20, 50), up = dense(20, 50), down = dense(50, 20);
  GatedFfn ffn(gate, up, down, GetParam());
  at::Tensor x = torch::randn({3, 9, 20}, at::requires_grad());
  const at::Tensor y = ffn.forward(x), slope = torch::randn_like(y);
  y.backward(slope);
  const at::Tensor x64 = doubled(x), g = doubled(gate->weight), u = doubled(up->weight), d = doubled(down->weight);
  const at::Tensor hidden = activate(at::matmul(x64, g.t()), GetParam()) * at::matmul(x64, u.t());
  const at::Tensor expected = at::matmul(hidden, d.t());
  expected.backward(slope.to(at::kDouble));
  EXPECT_LT(relative_distance(y.detach(), expected.detach()), 2e-6);
  EXPECT_LT(relative_distance(x.grad(), x64.grad()), 1e-5);
  EXPECT_LT(relative_distance(gate->weight.grad(), g.grad()), 1e-5);
  EXPECT_LT(relative_distance(up->weight.grad(), u.grad()), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Activations, GatedFfnTest,
                         testing::Values(Activation::kSilu, Activation::kGelu, Activation::kGeluTanh,
                                         Activation::kRelu));

// Extreme gates neither overflow nor give NaN.
TEST(GatedFfn, ExtremeGatesStayFinite) {
  const auto one = [](float value) {
    auto projection = std::make_shared<DenseProjection>(1, 1, false);
    const at::NoGradGuard no_grad;
    projection->weight.fill_(value);
    return projection;
  };
  GatedFfn ffn(one(1.0F), one(1.0F), one(1.0F), Activation::kSilu);
  at::Tensor x = at::tensor({-1e4F, -100.0F, 0.0F, 100.0F, 1e4F}).view({5, 1}).requires_grad_();
  const at::Tensor y = ffn.forward(x);
  y.sum().backward();
  EXPECT_TRUE(at::isfinite(y).all().item<bool>());
  EXPECT_TRUE(at::isfinite(x.grad()).all().item<bool>());
}

}  // namespace
}  // namespace kinglet::nn
