// Gradients of the Memory Layer's operators, and what they refuse.
#include "kinglet/methods/memoryformer/memory_operators.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/error.h"
#include "kinglet/methods/memoryformer/memory_projection.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr MemoryScore kScores[] = {MemoryScore::kProb, MemoryScore::kSumProb, MemoryScore::kAdaptiveTemperature,
                                   MemoryScore::kNone};

struct Example {
  Example(at::ScalarType type, std::int64_t tokens, std::int64_t tables, int bits_in, std::int64_t width)
      : bits(bits_in),
        x(torch::randn({tokens, tables * bits}, type)),
        rows(torch::randn({tables << bits, width}, type)),
        bias(torch::randn({width}, type)),
        slope(torch::randn({tokens, width}, type)) {
    x = x + 0.05 * x.sign();  // away from the jumps
  }
  at::Tensor loss(const MemoryWeighting& weighting, bool sparse = false) const {
    const MemoryCodes codes = memory_codes(x, x.size(1) / bits, bits, weighting, "x");
    return (memory_lookup(codes, rows, bias, bits, sparse) * slope).sum();
  }
  int bits;
  at::Tensor x, rows, bias, slope;
};

// Of the loss by one element of `of`.
double difference_quotient(const Example& example, const MemoryWeighting& weighting, at::Tensor of, std::int64_t at) {
  const at::NoGradGuard no_grad;
  constexpr double kStep = 1e-5;
  double* const place = of.data_ptr<double>() + at;
  const double before = *place;
  *place = before + kStep;
  const double more = example.loss(weighting).item<double>();
  *place = before - kStep;
  const double less = example.loss(weighting).item<double>();
  *place = before;
  return (more - less) / (2 * kStep);
}

TEST(MemoryOperators, GradientsInDoublePrecision) {
  torch::manual_seed(1);
  for (const MemoryScore score : kScores) {
    for (const double t : {0.6, 1.0, 2.5}) {
      Example example(at::kDouble, 5, 3, 4, 7);
      for (at::Tensor* tensor : {&example.x, &example.rows, &example.bias}) tensor->requires_grad_();
      const MemoryWeighting weighting{score, t};
      example.loss(weighting).backward();
      if (score == MemoryScore::kNone) {
        EXPECT_EQ(example.x.grad().abs().max().item<double>(), 0.0);
      }
      for (at::Tensor* tensor : {&example.x, &example.rows, &example.bias}) {
        // The adaptive temperature counts as a constant: its difference quotient is of another function.
        if (score == MemoryScore::kAdaptiveTemperature && tensor == &example.x) continue;
        const at::Tensor gradient = tensor->grad().contiguous();
        const double scale = gradient.abs().max().item<double>() + 1e-3;
        for (std::int64_t i = 0; i < tensor->numel(); ++i) {
          EXPECT_NEAR(gradient.data_ptr<double>()[i], difference_quotient(example, weighting, *tensor, i),
                      1e-6 * scale);
        }
      }
    }
  }
}

TEST(MemoryOperators, SinglePrecisionAgreesWithDouble) {
  torch::manual_seed(2);
  for (const MemoryScore score : kScores) {
    for (const bool sparse : {false, true}) {
      Example wide(at::kDouble, 33, 6, 5, 70), narrow = wide;
      for (const auto member : {&Example::x, &Example::rows, &Example::bias, &Example::slope}) {
        narrow.*member = (wide.*member).to(at::kFloat);
      }
      for (const auto member : {&Example::x, &Example::rows, &Example::bias}) {
        (wide.*member).requires_grad_();
        (narrow.*member).requires_grad_();
      }
      const MemoryWeighting weighting{score, 0.9};
      wide.loss(weighting).backward();
      narrow.loss(weighting, sparse).backward();
      EXPECT_EQ(narrow.rows.grad().is_sparse(), sparse);
      for (const auto member : {&Example::x, &Example::rows, &Example::bias}) {
        at::Tensor got = (narrow.*member).grad();
        if (got.is_sparse()) got = got.to_dense();
        const at::Tensor expected = (wide.*member).grad();
        EXPECT_LT((got.to(at::kDouble) - expected).norm().item<double>(), 1e-5 * expected.norm().item<double>() + 1e-9);
      }
    }
  }
}

TEST(MemoryOperators, SharedCodesSumTheirGradients) {
  torch::manual_seed(3);
  const Example a(at::kDouble, 6, 3, 4, 5), b(at::kDouble, 6, 3, 4, 9);
  const auto gradient = [&](bool shared) {
    at::Tensor x = a.x.clone().requires_grad_();
    const auto codes = [&] { return memory_codes(x, 3, 4, {}, "x"); };
    const MemoryCodes first = codes(), second = shared ? first : codes();
    ((memory_lookup(first, a.rows, a.bias, 4, false) * a.slope).sum() +
     (memory_lookup(second, b.rows, b.bias, 4, false) * b.slope).sum())
        .backward();
    return x.grad();
  };
  EXPECT_TRUE(at::allclose(gradient(true), gradient(false), 1e-12, 1e-12));
}

TEST(MemoryOperators, OtherInputs) {
  torch::manual_seed(4);
  const Example example(at::kFloat, 8, 3, 4, 5);
  const auto run = [&](const at::Tensor& x) {
    return memory_lookup(memory_codes(x, 3, 4, {}, "x"), example.rows, example.bias, 4, false);
  };
  EXPECT_EQ(run(example.x.slice(0, 0, 0)).sizes(), at::IntArrayRef({0, 5}));
  EXPECT_TRUE(run(example.x.t().contiguous().t()).equal(run(example.x)));
  const at::Tensor half = example.x.to(at::kBFloat16);
  EXPECT_TRUE(run(half).equal(run(half.to(at::kFloat))));
  at::Tensor damaged = example.x.clone();
  damaged[5][2] = std::nan("");
  try {
    memory_codes(damaged, 3, 4, {}, "layers.7.attention");
    ADD_FAILURE() << "a NaN was taken";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("layers.7.attention"), HasSubstr("token 5")));
  }
}

TEST(MemoryOperators, WithoutAutogradTheyAreTheSame) {
  torch::manual_seed(4);
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    Example example(type, 7, 3, 4, 20);
    for (at::Tensor* tensor : {&example.x, &example.rows, &example.bias}) tensor->requires_grad_();
    const MemoryWeighting weighting{MemoryScore::kSumProb, 1.0};
    const at::Tensor with = example.loss(weighting);
    EXPECT_TRUE(with.requires_grad());
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(example.loss(weighting).equal(with));
    const at::Tensor bad = at::full({2, 12}, std::nan(""), type);
    EXPECT_THROW(memory_codes(bad, 3, 4, weighting, "x"), Error);
  }
}

TEST(MemoryProjection, PackedTablesGiveTheSame) {
  torch::manual_seed(5);
  const at::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({2, 9, 24});
  for (const auto& [dtype, layout, tolerance] :
       {std::tuple{DType::kF32, TableLayout::kColumnBlocks, 1e-5}, std::tuple{DType::kBF16, TableLayout::kRows, 1e-2},
        std::tuple{DType::kI8, TableLayout::kColumnBlocks, 2e-2}}) {
    MemoryProjection projection({6, 4, 100}, {}, "p");
    projection.tables.normal_();
    projection.bias.normal_();
    const at::Tensor expected = projection.forward(x);
    projection.pack(dtype, layout);
    const at::Tensor got = projection.forward(x);
    EXPECT_EQ(got.sizes(), at::IntArrayRef({2, 9, 100}));
    EXPECT_LT((got - expected).norm().item<double>(), tolerance * expected.norm().item<double>());
  }
}

// x ~ N(0, 1), y = x W, tables fitted exactly by least squares: the part of the variance that they explain depends on
// the bits and the score alone. One bit a table fits each column of y apart.
TEST(MemoryLayer, ExplainsTheKnownPartOfALinearMap) {
  torch::manual_seed(6);
  struct Row {
    int bits;
    double none, prob, sum_prob;
  };
  for (const Row& row : {Row{1, .6366, .7845, .991}, Row{2, .6366, .760, .789}, Row{4, .6366, .708, .656}}) {
    const std::int64_t samples = 200'000;
    const at::Tensor z = torch::randn({samples, row.bits});
    const at::Tensor w = torch::ones({row.bits, 1});  // by symmetry any direction
    const at::Tensor y = z.matmul(w).squeeze(1).to(at::kDouble);
    const auto explained = [&](MemoryScore score) {
      const MemoryCodes codes = memory_codes(z, 1, row.bits, {score, 1.0}, "z");
      const at::Tensor weights = codes.weights.squeeze(1).to(at::kDouble), index = codes.codes.squeeze(1).to(at::kLong);
      const at::Tensor zeros = at::zeros({std::int64_t{1} << row.bits}, at::kDouble);
      const at::Tensor fitted = zeros.index_add(0, index, weights * y) / zeros.index_add(0, index, weights * weights);
      return 1.0 - ((y - weights * fitted.index_select(0, index)).square().sum() / y.square().sum()).item<double>();
    };
    EXPECT_NEAR(explained(MemoryScore::kNone), row.none, .006) << row.bits;
    EXPECT_NEAR(explained(MemoryScore::kProb), row.prob, .006) << row.bits;
    EXPECT_NEAR(explained(MemoryScore::kSumProb), row.sum_prob, .006) << row.bits;
  }
}

}  // namespace
}  // namespace kinglet
