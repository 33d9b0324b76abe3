#include "kinglet/nn/token_loss.h"

#include <gtest/gtest.h>

#include "tests/support/tensor_distance.h"

#include "kinglet/base/error.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

using testing_support::relative_distance;

// Vocabularies that make one piece, and many.
class TokenLossTest : public testing::TestWithParam<std::int64_t> {};

TEST_P(TokenLossTest, AgreesWithDoublePrecision) {
  const std::int64_t vocabulary = GetParam(), rows = 75, dim = 24;
  torch::manual_seed(4);
  at::Tensor hidden = torch::randn({rows, dim}, at::requires_grad());
  at::Tensor weight = torch::randn({vocabulary, dim}, at::requires_grad());
  at::Tensor labels = at::randint(0, vocabulary, {rows}, at::kLong);
  labels[3] = -100;
  labels[74] = -100;
  const at::Tensor loss = token_loss_sum(hidden, weight, labels);
  (loss * 0.5).backward();

  const at::Tensor h = hidden.detach().to(at::kDouble).requires_grad_(),
                   w = weight.detach().to(at::kDouble).requires_grad_();
  const at::Tensor expected = at::cross_entropy_loss(at::matmul(h, w.t()), labels, {}, at::Reduction::Sum);
  (expected * 0.5).backward();
  EXPECT_LT(relative_distance(loss.detach(), expected.detach()), 1e-6);
  EXPECT_LT(relative_distance(hidden.grad(), h.grad()), 1e-5);
  EXPECT_LT(relative_distance(weight.grad(), w.grad()), 1e-5);
  const at::NoGradGuard no_grad;
  EXPECT_EQ(token_loss_sum(hidden, weight, labels).item<float>(), loss.item<float>());
  EXPECT_EQ(counted_labels(labels), rows - 2);
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, TokenLossTest, testing::Values(1, 17, 1000, 150'000));

TEST(TokenLoss, NothingCountedIsNothing) {
  at::Tensor hidden = torch::randn({4, 8}, at::requires_grad());
  const at::Tensor weight = torch::randn({10, 8}, at::requires_grad());
  const at::Tensor loss = token_loss_sum(hidden, weight, at::full({4}, -100, at::kLong));
  loss.backward();
  EXPECT_EQ(loss.item<float>(), 0.0F);
  EXPECT_EQ(hidden.grad().abs().sum().item<float>(), 0.0F);
}

TEST(TokenLoss, RefusesLabelsOutsideTheVocabulary) {
  EXPECT_THROW(token_loss_sum(torch::randn({1, 8}), torch::randn({10, 8}), at::full({1}, 10, at::kLong)), Error);
  EXPECT_THROW(token_loss_sum(torch::randn({1, 8}), torch::randn({10, 8}), at::full({1}, -1, at::kLong)), Error);
}

}  // namespace
}  // namespace kinglet::nn
