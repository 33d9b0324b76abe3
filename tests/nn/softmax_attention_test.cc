#include "kinglet/nn/softmax_attention.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

struct Case {
  std::int64_t batch, queries, keys, heads, kv_heads, head_dim;
  bool causal = true;
  std::int64_t window = 0;
  bool with_first_key = false;
};

// The definition, in double precision with the whole matrix.
at::Tensor reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const SoftmaxMask& mask,
                     double scale) {
  const std::int64_t queries = q.size(1), keys = k.size(1), group = q.size(2) / k.size(2);
  const at::Tensor heads_k = k.repeat_interleave(group, 2).permute({0, 2, 1, 3});
  const at::Tensor heads_v = v.repeat_interleave(group, 2).permute({0, 2, 1, 3});
  at::Tensor scores = at::matmul(q.permute({0, 2, 1, 3}), heads_k.transpose(2, 3)) * scale;
  const at::Tensor position = at::arange(queries).unsqueeze(1) + (keys - queries), key = at::arange(keys).unsqueeze(0);
  at::Tensor visible = at::ones({q.size(0), 1, queries, keys}, at::kBool);
  if (mask.causal) visible = visible & (key <= position);
  if (mask.window > 0) visible = visible & (key > position - mask.window);
  if (mask.first_key.defined()) visible = visible & (key >= mask.first_key.unsqueeze(-1).unsqueeze(1));
  scores = scores.masked_fill(visible.logical_not(), -std::numeric_limits<double>::infinity());
  const at::Tensor p = at::nan_to_num(at::softmax(scores, -1), 0.0);
  return at::matmul(p, heads_v).permute({0, 2, 1, 3});
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b).abs().max().item<double>() / (1e-3 + b.abs().max().item<double>());
}

class SoftmaxAttentionTest : public testing::TestWithParam<Case> {};

TEST_P(SoftmaxAttentionTest, AgreesWithTheDefinition) {
  const Case& c = GetParam();
  torch::manual_seed(3);
  const auto random = [&](std::int64_t tokens, std::int64_t heads) {
    return torch::randn({c.batch, tokens, heads, c.head_dim}, at::requires_grad());
  };
  at::Tensor q = random(c.queries, c.heads), k = random(c.keys, c.kv_heads), v = random(c.keys, c.kv_heads);
  SoftmaxMask mask{c.causal, c.window, {}};
  // Some queries see nothing: padding on the left.
  if (c.with_first_key) mask.first_key = at::randint(0, c.keys, {c.batch, c.queries}, at::kInt);
  const double scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
  const at::Tensor out = softmax_attention(q, k, v, mask, scale);
  const at::Tensor slope = torch::randn_like(out);
  out.backward(slope);

  const auto doubled = [](const at::Tensor& t) { return t.detach().to(at::kDouble).requires_grad_(); };
  at::Tensor q64 = doubled(q), k64 = doubled(k), v64 = doubled(v);
  const at::Tensor expected = reference(q64, k64, v64, mask, scale);
  expected.backward(slope.to(at::kDouble));
  EXPECT_LT(largest_difference(out.detach(), expected.detach()), 3e-6);
  EXPECT_LT(largest_difference(q.grad(), at::nan_to_num(q64.grad())), 1e-5);
  EXPECT_LT(largest_difference(k.grad(), at::nan_to_num(k64.grad())), 1e-5);
  EXPECT_LT(largest_difference(v.grad(), at::nan_to_num(v64.grad())), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Shapes, SoftmaxAttentionTest,
                         testing::Values(Case{1, 1, 1, 1, 1, 1}, Case{2, 5, 5, 4, 4, 8}, Case{1, 70, 70, 4, 2, 16},
                                         Case{2, 1, 33, 8, 2, 24}, Case{1, 65, 130, 3, 1, 32},
                                         Case{1, 100, 100, 2, 2, 8, true, 7}, Case{1, 64, 90, 2, 1, 8, true, 64},
                                         Case{2, 40, 40, 2, 2, 8, false}, Case{1, 3, 50, 2, 2, 8, false},
                                         Case{3, 80, 80, 2, 1, 8, true, 0, true},
                                         Case{2, 70, 99, 2, 2, 8, true, 20, true}));

TEST(SoftmaxAttention, QueriesThatSeeNothingGetZeros) {
  const at::Tensor q = torch::randn({1, 3, 1, 4}), k = torch::randn({1, 3, 1, 4});
  const at::Tensor first = at::tensor({2, 2, 2}, at::kInt).view({1, 3});
  const at::Tensor out = softmax_attention(q, k, k, {true, 0, first}, 0.5);
  EXPECT_EQ(out.slice(1, 0, 2).abs().sum().item<float>(), 0.0F);
  EXPECT_TRUE(at::allclose(out.select(1, 2), k.select(1, 2)));
}

// Large scores do not overflow, and far keys that hold NaN behind the mask do not matter.
TEST(SoftmaxAttention, IsStable) {
  const at::Tensor q = torch::full({1, 2, 1, 4}, 100.0), k = torch::full({1, 2, 1, 4}, 100.0);
  EXPECT_TRUE(at::isfinite(softmax_attention(q, k, k, {}, 1.0)).all().item<bool>());
}

}  // namespace
}  // namespace kinglet::nn
