// All terms together: equal to LibTorch's own autograd over whole matrices, whatever the pieces; the band network.
#include "kinglet/methods/mgsr/distillation_loss.h"

#include <gtest/gtest.h>

#include "tests/methods/mgsr/logits.h"
#include "tests/support/refusal.h"

#include "kinglet/base/error.h"
#include "kinglet/train/adamw.h"

namespace kinglet::mgsr {
namespace {

using testing_support::largest_difference;
using testing_support::random_logits;
using testing_support::refusal;

struct Problem {
  at::Tensor hidden = random_logits(13, 6, 1, 1).to(at::kFloat).requires_grad_();
  at::Tensor weight = random_logits(11, 6, 1, 2).to(at::kFloat).requires_grad_();
  at::Tensor teacher = random_logits(13, 11, 2, 3).to(at::kFloat);
  at::Tensor labels = at::arange(13, at::kLong).remainder(11);
  std::vector<std::int64_t> pairs = {0, 1, 2, 3, 5, 8, 9, 10, 11};
  KnownTeacherRows known{teacher};
  BandNetwork network{11, 4, 5};

  LossRows rows() const { return {hidden, weight, labels, pairs, &known, &network}; }
};

LossSettings everything() {
  LossSettings settings;
  settings.cross_entropy_weight = 0.7;
  settings.divergence_weight = 0.5;
  settings.divergence.kind = Divergence::kReverse;
  settings.temperature = 2;
  settings.band_weight = 1.5;
  settings.span_weight = 3;
  settings.keep_penalty = 0;
  return settings;
}

// The same by LibTorch: all logits, formulas, autograd.
at::Tensor plain_loss(const Problem& problem, const LossSettings& settings) {
  const at::Tensor logits = problem.hidden.matmul(problem.weight.t());
  const at::Tensor cross_entropy = at::cross_entropy_loss(logits, problem.labels, c10::nullopt, at::Reduction::Sum);
  const at::Tensor log_q = (logits / 2).log_softmax(-1), log_p = (problem.teacher / 2).log_softmax(-1);
  const at::Tensor divergence = (log_q.exp() * (log_q - log_p)).sum() * 4;
  const at::Tensor p = problem.teacher.softmax(-1), q = logits.softmax(-1);
  const at::Tensor rank = p.argsort(true, -1, true).argsort(true, -1, false);
  const at::Tensor place = 1 - at::log1p(rank.to(at::kFloat)) / std::log(12.0);
  const RankedRows ranked = rank_rows(distributions(problem.teacher, logits.detach()));
  const auto [lower, upper] = BandNetwork::limits(problem.network.features(ranked), problem.network.values());
  const at::Tensor mask =
      at::log_sigmoid((place - lower.unsqueeze(-1)) / 0.05) + at::log_sigmoid((upper.unsqueeze(-1) - place) / 0.05);
  const at::Tensor kept = at::where(rank.eq(0), at::zeros_like(mask), mask);
  const at::Tensor log_a = (problem.teacher + kept).log_softmax(-1), log_b = (logits + kept).log_softmax(-1);
  const at::Tensor band = (log_a.exp() * (log_a - log_b)).sum();
  const at::Tensor first = at::tensor(problem.pairs, at::kLong);
  const at::Tensor difference =
      p.index_select(0, first) * p.index_select(0, first + 1) - q.index_select(0, first) * q.index_select(0, first + 1);
  const at::Tensor span = (difference.pow(2).sum(-1) + 1e-12).sqrt().mean() * 13;
  return settings.cross_entropy_weight * cross_entropy + settings.divergence_weight * divergence +
         settings.band_weight * band + settings.span_weight * span;
}

TEST(DistillationLoss, IsThatOfWholeMatricesInAnyPieces) {
  const LossSettings settings = everything();
  Problem expected;
  for (const NamedParameter& parameter : expected.network.parameters()) {
    if (parameter.name == "output.weight") at::Tensor(parameter.value).detach().fill_(0.02);
  }
  const at::Tensor loss = plain_loss(expected, settings);
  loss.backward();
  for (const std::int64_t piece : {1, 2, 4, 5, 13, 64}) {
    Problem problem;
    for (const NamedParameter& parameter : problem.network.parameters()) {
      if (parameter.name == "output.weight") at::Tensor(parameter.value).detach().fill_(0.02);
    }
    LossSettings pieces = settings;
    pieces.rows_at_once = piece;
    LossReport report;
    const at::Tensor sum = distillation_loss_sum(problem.rows(), pieces, report);
    EXPECT_NEAR(sum.item<double>(), loss.item<double>(), 2e-5 * loss.item<double>()) << piece;
    (sum * 2).backward();
    EXPECT_LT(largest_difference(problem.hidden.grad(), expected.hidden.grad() * 2), 2e-5) << piece;
    EXPECT_LT(largest_difference(problem.weight.grad(), expected.weight.grad() * 2), 4e-5) << piece;
    for (std::size_t i = 0; i < problem.network.values().size(); ++i) {
      const at::Tensor mine = problem.network.values()[i].grad(), theirs = expected.network.values()[i].grad();
      EXPECT_LT(largest_difference(mine, theirs * 2), 1e-4) << problem.network.parameters()[i].name;
    }
    EXPECT_EQ(report.rows, 13);
    EXPECT_EQ(report.pairs, 9);
    const at::NoGradGuard no_grad;
    LossReport again;
    EXPECT_EQ(distillation_loss_sum(problem.rows(), pieces, again).item<float>(), sum.item<float>());
  }
}

TEST(DistillationLoss, WithoutRowsOrPairsIsZeroAndNoNaN) {
  Problem problem;
  LossRows rows = problem.rows();
  rows.pairs.clear();
  LossSettings settings;
  settings.span_weight = 1;
  LossReport report;
  EXPECT_EQ(distillation_loss_sum(rows, settings, report).item<double>(), 0);
  rows.hidden = rows.hidden.narrow(0, 0, 0);
  rows.labels = rows.labels.narrow(0, 0, 0);
  const at::Tensor nothing = distillation_loss_sum(rows, everything(), report);
  nothing.backward();
  EXPECT_EQ(nothing.item<double>(), 0);
  EXPECT_EQ(report.rows, 0);
}

TEST(DistillationLoss, TakesOutClassesThatTheTeacherCannotGive) {
  Problem problem;
  problem.teacher.select(1, 4).fill_(-std::numeric_limits<double>::infinity());
  LossSettings settings = everything();
  settings.cross_entropy_weight = 0;
  LossReport report;
  const at::Tensor sum = distillation_loss_sum(problem.rows(), settings, report);
  sum.backward();
  EXPECT_TRUE(std::isfinite(sum.item<double>()));
  EXPECT_TRUE(problem.hidden.grad().isfinite().all().item<bool>());
}

TEST(DistillationLoss, BadInputs) {
  Problem problem;
  LossReport report;
  problem.labels[3] = 11;
  EXPECT_NE(refusal([&] { distillation_loss_sum(problem.rows(), everything(), report); }).find("vocabulary"),
            std::string::npos);
  problem.labels[3] = 0;
  problem.teacher[2][2] = std::numeric_limits<double>::infinity();
  EXPECT_THROW(distillation_loss_sum(problem.rows(), everything(), report), Error);
}

TEST(BandNetwork, StartsNearThePlainDivergence) {
  const Problem problem;
  const RankedRows ranked = rank_rows(distributions(problem.teacher, problem.teacher));
  const auto [lower, upper] = BandNetwork::limits(problem.network.features(ranked), problem.network.values());
  EXPECT_NEAR(lower.max().item<double>(), 0.05, 1e-6);
  EXPECT_NEAR(upper.min().item<double>(), 0.95, 1e-6);
  EXPECT_EQ(problem.network.features(ranked).size(1), 2 * 4 + 4);
}

// Left alone, the limits close; the floor keeps the mass.
double kept_mass_after(double penalty) {
  constexpr std::int64_t kClasses = 32, kRows = 16;
  const at::Tensor teacher =
      random_logits(kRows, kClasses, 0.5, 7).to(at::kFloat) - 1.2 * at::arange(1, kClasses + 1).to(at::kFloat).log();
  const at::Tensor hidden = random_logits(kRows, 8, 1, 8).to(at::kFloat).requires_grad_();
  const at::Tensor weight = random_logits(kClasses, 8, 0.2, 9).to(at::kFloat);
  const KnownTeacherRows known(teacher);
  const BandNetwork network(kClasses, 16, 3);
  AdamW optimizer(network.parameters(), {.weight_decay = 0});
  LossSettings settings;
  settings.band_weight = 1;
  settings.keep_penalty = penalty;
  LossReport report;
  for (int step = 0; step < 600; ++step) {
    optimizer.clear_gradients();
    const LossRows rows{hidden, weight, at::zeros({kRows}, at::kLong), {}, &known, &network};
    distillation_loss_sum(rows, settings, report).backward();
    optimizer.step(3e-3, 1.0 / kRows);
  }
  return report.kept_mass / report.rows;
}

TEST(BandNetwork, CollapsesWithoutTheFloor) {
  EXPECT_LT(kept_mass_after(0), 0.5);
  EXPECT_GT(kept_mass_after(10), 0.85);
}

}  // namespace
}  // namespace kinglet::mgsr
