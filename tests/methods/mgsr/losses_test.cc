// Divergences, DAC-KL and span consistency: values and gradients by PyTorch, worked examples, limits.
#include <fstream>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "tests/methods/mgsr/logits.h"
#include "tests/support/refusal.h"

#include "kinglet/base/error.h"
#include "kinglet/methods/mgsr/clipping.h"
#include "kinglet/methods/mgsr/divergence.h"
#include "kinglet/methods/mgsr/ranking.h"
#include "kinglet/methods/mgsr/span_correlation.h"

namespace kinglet::mgsr {
namespace {

using testing_support::differences;
using testing_support::largest_difference;
using testing_support::numbers;
using testing_support::random_logits;
using testing_support::refusal;

constexpr double kExact = 1e-9;  // fp64 against fp64

const nlohmann::json& golden() {
  static const nlohmann::json json = [] {
    std::ifstream file(std::string(KINGLET_SOURCE_DIR) + "/tests/golden/mgsr/losses.json");
    return nlohmann::json::parse(file);
  }();
  return json;
}
at::Tensor matrix(const nlohmann::json& json) { return numbers(json.get<std::vector<std::vector<double>>>()); }
at::Tensor vector(const nlohmann::json& json) { return at::tensor(json.get<std::vector<double>>(), at::kDouble); }
Distributions golden_rows() { return distributions(matrix(golden()["teacher"]), matrix(golden()["student"])); }

const at::Tensor kTeacherLogits = numbers({{3, 1, .5, 0, -1}});
const at::Tensor kStudent = numbers({{1, 2, 0, .5, -.5}});

DivergenceSettings divergence_of(const std::string& name) {
  DivergenceSettings settings;
  settings.kind = parse_divergence(name);
  settings.beta = 0.3;
  return settings;
}

class Divergences : public testing::TestWithParam<std::string> {};

TEST_P(Divergences, AreThoseOfPyTorch) {
  const auto& expected = golden()[GetParam()];
  const RowLosses rows = divergence_rows(golden_rows(), divergence_of(GetParam()));
  EXPECT_LT(largest_difference(rows.losses, vector(expected["losses"])), kExact);
  EXPECT_LT(largest_difference(rows.gradient, matrix(expected["student"])), kExact);
  // fp32, as in training
  const at::Tensor student = matrix(golden()["student"]).to(at::kFloat).requires_grad_();
  const at::Tensor losses = divergence_loss(matrix(golden()["teacher"]), student, divergence_of(GetParam()));
  losses.sum().backward();
  EXPECT_LT(largest_difference(losses, vector(expected["losses"])), 2e-6);
  EXPECT_LT(largest_difference(student.grad(), matrix(expected["student"])), 2e-6);
}

TEST_P(Divergences, HaveTheGradientOfDifferences) {
  const at::Tensor teacher = random_logits(3, 7, 1.5, 1), student = random_logits(3, 7, 1.5, 2);
  for (const double temperature : {1.0, 2.5}) {
    const at::Tensor variable = student.clone().requires_grad_();
    divergence_loss(teacher, variable, divergence_of(GetParam()), temperature).sum().backward();
    const at::Tensor expected = differences(student, [&](const at::Tensor& x) {
      return divergence_loss(teacher, x, divergence_of(GetParam()), temperature).sum().item<double>();
    });
    EXPECT_LT(largest_difference(variable.grad(), expected), 1e-7) << temperature;
  }
}

TEST_P(Divergences, AreZeroForEqualModelsAndDoNotMindConstants) {
  const at::Tensor logits = random_logits(4, 9, 2, 3);
  const RowLosses rows = divergence_rows(distributions(logits, logits + 4), divergence_of(GetParam()));
  EXPECT_LT(rows.losses.abs().max().item<double>(), 1e-12);
  // (The gradient of |p - q| jumps there, with the sign of rounding.)
  EXPECT_LT(GetParam() == "tvd" ? 0.0 : rows.gradient.abs().max().item<double>(), 1e-12);
  const at::Tensor other = random_logits(4, 9, 2, 4);
  const RowLosses different = divergence_rows(distributions(logits, other), divergence_of(GetParam()));
  EXPECT_GT(different.losses.min().item<double>(), 0);
  EXPECT_LT(different.gradient.sum(-1).abs().max().item<double>(), 1e-12);
}

// A class that one of the models cannot give is no class for either; the others are as without it.
TEST_P(Divergences, LeaveOutClassesOfProbabilityZero) {
  const double none = -std::numeric_limits<double>::infinity();
  at::Tensor teacher = random_logits(2, 8, 1, 5).to(at::kFloat), student = random_logits(2, 8, 1, 6).to(at::kFloat);
  const at::Tensor few = divergence_loss(teacher.narrow(1, 0, 6), student.narrow(1, 0, 6), divergence_of(GetParam()));
  teacher.select(1, 6).fill_(none);
  student.narrow(1, 6, 2).fill_(none);
  student.requires_grad_();
  const at::Tensor all = divergence_loss(teacher, student, divergence_of(GetParam()));
  all.sum().backward();
  EXPECT_LT(largest_difference(all, few), 1e-6);
  EXPECT_EQ(student.grad().narrow(1, 6, 2).abs().max().item<double>(), 0);
  EXPECT_TRUE(student.grad().isfinite().all().item<bool>());
}

TEST_P(Divergences, StayFiniteFarApart) {
  const at::Tensor teacher = at::tensor({200.F, -200.F, 0.F}).unsqueeze(0);
  const at::Tensor student = at::tensor({-200.F, 200.F, 0.F}).unsqueeze(0).requires_grad_();
  const at::Tensor loss = divergence_loss(teacher, student, divergence_of(GetParam()));
  loss.sum().backward();
  EXPECT_TRUE(loss.isfinite().all().item<bool>() && student.grad().isfinite().all().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(All, Divergences, testing::ValuesIn(divergence_names()), [](const auto& test) {
  std::string name = test.param;
  std::erase(name, '-');
  return name;
});

TEST(Divergence, OfTheWorkedExample) {
  const Distributions rows = distributions(kTeacherLogits, kStudent);
  EXPECT_LT(largest_difference(rows.p, numbers({{.77789352, .10527644, .06385339, .03872904, .01424762}})), 1e-8);
  EXPECT_LT(largest_difference(rows.q, numbers({{.20342477, .55296587, .07483579, .12338336, .0453902}})), 1e-8);
  EXPECT_NEAR(divergence_rows(rows, divergence_of("forward")).losses.item<double>(), .7972423326, kExact);
  EXPECT_NEAR(divergence_rows(rows, divergence_of("reverse")).losses.item<double>(), .8517918354, kExact);
}

TEST(Divergence, BadInputs) {
  EXPECT_NE(refusal([] { parse_divergence("kl"); }).find("skew-forward"), std::string::npos);
  at::Tensor broken = kTeacherLogits.clone();
  broken[0][2] = std::numeric_limits<double>::quiet_NaN();
  try {
    divergence_loss(broken, kStudent, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFailed);
    EXPECT_NE(std::string(error.what()).find("teacher: logits are NaN"), std::string::npos) << error.what();
  }
}

TEST(Ranking, IsTheStableOrder) {
  const at::Tensor values =
      random_logits(6, 3000, 1, 8).mul_(4).round_().to(at::kFloat);  // many ties, zeros of both signs
  const at::Tensor expected = values.argsort(true, -1, true);
  EXPECT_TRUE(descending_order(values).equal(expected));
  EXPECT_TRUE(descending_order(at::empty({0, 5})).equal(at::empty({0, 5}, at::kLong)));
}

BandLosses band_of(const at::Tensor& teacher, const at::Tensor& student, double lower, double upper,
                   const BandSettings& settings = {}) {
  const std::int64_t rows = teacher.size(0);
  return band_losses(rank_rows(distributions(teacher, student)), at::full({rows}, lower, at::kDouble),
                     at::full({rows}, upper, at::kDouble), settings);
}

TEST(Band, OfTheWorkedExample) {
  const BandLosses rank = band_of(kTeacherLogits, kStudent, .2, .8, {.coordinate = BandCoordinate::kRank});
  EXPECT_NEAR(rank.student.losses.item<double>(), .7654842813, kExact);
  EXPECT_NEAR(rank.kept_mass.item<double>(), .9699637271, kExact);
  EXPECT_LT(
      largest_difference(rank.student.gradient, numbers({{-.57055482, .45847635, .01921127, .0884627, .00440449}})),
      1e-8);
  EXPECT_NEAR(rank.lower.item<double>(), -.0543545802, kExact);
  EXPECT_NEAR(rank.upper.item<double>(), .5157665114, kExact);
  const BandLosses log_rank = band_of(kTeacherLogits, kStudent, .2, .8);
  EXPECT_NEAR(log_rank.student.losses.item<double>(), .7847852964, kExact);
  EXPECT_NEAR(log_rank.kept_mass.item<double>(), .9691385867, kExact);
}

// Documents that the literal form is no divergence: without its target term the sum is negative.
TEST(Band, UnnormalisedSumsCanBeNegative) {
  const BandLosses raw =
      band_of(kTeacherLogits, kStudent, .2, .8, {.coordinate = BandCoordinate::kRank, .renormalise = false});
  EXPECT_NEAR(raw.student.losses.item<double>(), .8380069152, kExact);
  const Distributions rows = distributions(kTeacherLogits, kStudent);
  const double target = (rows.p[0][0] * (rows.log_p[0][0] - rows.log_q[0][0])).item<double>();
  EXPECT_NEAR(raw.student.losses.item<double>() - target, -.2054, 1e-4);
}

TEST(Band, Limits) {
  const at::Tensor teacher = random_logits(5, 12, 2, 9), student = random_logits(5, 12, 2, 10);
  const at::Tensor forward = divergence_rows(distributions(teacher, student), {}).losses;
  EXPECT_LT(largest_difference(band_of(teacher, student, -50, 50).student.losses, forward), 1e-12);
  EXPECT_LT(band_of(teacher, student, 50, -50).student.losses.abs().max().item<double>(), 1e-12);
  const BandLosses some = band_of(teacher, student, .3, .7), moved = band_of(teacher + 3, student - 5, .3, .7);
  EXPECT_GE(some.student.losses.min().item<double>(), 0);
  EXPECT_LT(largest_difference(some.student.losses, moved.student.losses), 1e-12);
  EXPECT_LT(some.student.gradient.sum(-1).abs().max().item<double>(), 1e-12);
}

TEST(Band, IsThatOfPyTorchInEveryForm) {
  for (const std::string& coordinate : coordinate_names()) {
    for (const std::string form : {"", "-raw", "-twice"}) {
      const auto& expected = golden()[coordinate + form];
      const BandSettings settings{parse_coordinate(coordinate), 0.05, form != "-raw", form == "-twice"};
      const BandLosses rows =
          band_losses(rank_rows(golden_rows()), vector(golden()["lower"]), vector(golden()["upper"]), settings);
      EXPECT_LT(largest_difference(rows.student.losses, vector(expected["losses"])), kExact) << coordinate << form;
      EXPECT_LT(largest_difference(rows.student.gradient, matrix(expected["student"])), kExact) << coordinate << form;
      EXPECT_LT(largest_difference(rows.lower, vector(expected["lower"])), kExact) << coordinate << form;
      EXPECT_LT(largest_difference(rows.upper, vector(expected["upper"])), kExact) << coordinate << form;
    }
  }
}

TEST(Band, GradientsAreThoseOfDifferences) {
  const at::Tensor teacher = random_logits(3, 10, 2, 12), student = random_logits(3, 10, 1, 13);
  const at::Tensor lower = at::tensor({.1, .3, .2}, at::kDouble), upper = at::tensor({.6, .9, .7}, at::kDouble);
  for (const bool renormalise : {true, false}) {
    const BandSettings settings{BandCoordinate::kLogRank, 0.05, renormalise, false};
    const auto loss = [&](const at::Tensor& s, const at::Tensor& l, const at::Tensor& u) {
      return band_losses(rank_rows(distributions(teacher, s)), l, u, settings);
    };
    const auto sum = [](const at::Tensor& values) { return values.sum().item<double>(); };
    const BandLosses rows = loss(student, lower, upper);
    EXPECT_LT(largest_difference(
                  rows.student.gradient,
                  differences(student, [&](const at::Tensor& x) { return sum(loss(x, lower, upper).student.losses); })),
              1e-7);
    EXPECT_LT(largest_difference(
                  rows.upper,
                  differences(upper, [&](const at::Tensor& x) { return sum(loss(student, lower, x).student.losses); })),
              1e-7);
    EXPECT_LT(largest_difference(
                  rows.mass_lower,
                  differences(lower, [&](const at::Tensor& x) { return sum(loss(student, x, upper).kept_mass); })),
              1e-7);
    EXPECT_LT(largest_difference(
                  rows.mass_upper,
                  differences(upper, [&](const at::Tensor& x) { return sum(loss(student, lower, x).kept_mass); })),
              1e-7);
  }
}

// Plain descent on two limits alone, with fixed students: what is kept, and the loss. (For a single student the descent
// may end at a band that fits it by chance.)
std::pair<double, double> kept_after_descent(double penalty, double& first_loss) {
  constexpr std::int64_t kStudents = 64;
  const at::Tensor student = random_logits(kStudents, 32, 0.65, 21) - at::arange(1, 33).to(at::kDouble).log();
  const at::Tensor teacher = (-at::arange(1, 33).to(at::kDouble).log()).expand_as(student);
  const RankedRows rows = rank_rows(distributions(teacher, student));
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  double a = std::log(.05 / .95), b = std::log(.9 / .05), kept = 0, loss = 0;
  for (int step = 0; step < 2000; ++step) {
    const double lower = sigmoid(a), share = sigmoid(b), upper = lower + (1 - lower) * share;
    const BandLosses band = band_losses(rows, at::full({kStudents}, lower, at::kDouble),
                                        at::full({kStudents}, upper, at::kDouble), BandSettings{});
    const auto mean = [](const at::Tensor& values) { return values.mean().item<double>(); };
    kept = mean(band.kept_mass);
    loss = mean(band.student.losses);
    if (step == 0) first_loss = loss;
    const double price = -2 * penalty * std::max(0.0, 0.9 - kept);
    const double by_lower = mean(band.lower) + price * mean(band.mass_lower);
    const double by_upper = mean(band.upper) + price * mean(band.mass_upper);
    a -= (by_lower + by_upper * (1 - share)) * lower * (1 - lower);
    b -= by_upper * (1 - lower) * share * (1 - share);
  }
  return {kept, loss};
}

// fp32 is computed in one pass, fp64 in many. Rows that agree, differ, are certain of one class, and are certain of
// different ones, some so far apart that the one pass gives up.
TEST(Band, InSinglePrecisionIsThatOfDoubles) {
  for (const std::int64_t classes : {2, 5, 17, 300, 5000}) {
    at::Tensor teacher = random_logits(6, classes, 3.0, 21), student = random_logits(6, classes, 3.0, 22);
    student[1].copy_(teacher[1]);
    teacher[2][0] += 60.0;
    student[3][1] += 60.0;
    teacher[4][0] += 90.0;
    student[4][1] += 90.0;
    student[5][1] += 700.0;
    const at::Tensor lower = at::linspace(0.05, 0.6, 6, at::kDouble),
                     upper = lower + at::linspace(0.05, 0.35, 6, at::kDouble);
    for (const auto coordinate :
         {BandCoordinate::kLogRank, BandCoordinate::kRank, BandCoordinate::kValue, BandCoordinate::kMass}) {
      const BandSettings settings{.coordinate = coordinate};
      const RankedRows exact = rank_rows(distributions(teacher, student));
      const RankedRows single{exact.order, exact.log_p.to(at::kFloat), exact.log_q.to(at::kFloat)};
      const BandLosses wanted = band_losses(exact, lower, upper, settings);
      const BandLosses got = band_losses(single, lower.to(at::kFloat), upper.to(at::kFloat), settings);
      const auto check = [&](const char* what, const at::Tensor& a, const at::Tensor& b) {
        const at::Tensor scale = b.abs().clamp_min(1.0);
        EXPECT_LT(((a.to(at::kDouble) - b).abs() / scale).max().item<double>(), 2e-4)
            << what << ", " << classes << " classes, " << coordinate_names()[static_cast<std::size_t>(coordinate)]
            << "\n"
            << a << b;
      };
      check("loss", got.student.losses, wanted.student.losses);
      check("gradient", got.student.gradient, wanted.student.gradient);
      check("lower", got.lower, wanted.lower);
      check("upper", got.upper, wanted.upper);
      check("kept mass", got.kept_mass, wanted.kept_mass);
      check("kept classes", got.kept_classes, wanted.kept_classes);
      check("mass by lower", got.mass_lower, wanted.mass_lower);
      check("mass by upper", got.mass_upper, wanted.mass_upper);
    }
  }
}

TEST(Band, CollapsesUnlessItsMassHasAFloor) {
  double before = 0;
  const auto [kept, loss] = kept_after_descent(0, before);
  EXPECT_LT(kept, 0.5);
  EXPECT_LT(loss, before / 4);
  EXPECT_GT(kept_after_descent(10, before).first, 0.85);
}

TEST(Span, OfTheWorkedExample) {
  const Distributions rows = distributions(at::cat({kTeacherLogits, numbers({{0, 0, 0, 2, 1}})}),
                                           at::cat({kStudent, numbers({{0, 1, 0, 0, 0}})}));
  const at::Tensor teacher = rows.p[0] * rows.p[1], student = rows.q[0] * rows.q[1];
  EXPECT_LT(largest_difference(teacher, numbers({{.05934794, .00803187, .00487158, .02183289, .00295476}})[0]), 1e-8);
  EXPECT_LT(largest_difference(student, numbers({{.03027929, .22373534, .01113913, .01836532, .00675622}})[0]), 1e-8);
  EXPECT_NEAR(span_losses(rows, {0}, SpanDistance::kEuclidean).losses.item<double>(), .2178043411, kExact);
  EXPECT_NEAR(span_losses(rows, {0}, SpanDistance::kSquared).losses.item<double>(), .0474387310, kExact);
}

TEST(Span, IsThatOfPyTorch) {
  for (const bool squared : {false, true}) {
    const auto& expected = golden()[squared ? "span-squared" : "span"];
    const PairLosses pairs =
        span_losses(golden_rows(), {0, 1, 2}, squared ? SpanDistance::kSquared : SpanDistance::kEuclidean);
    EXPECT_LT(largest_difference(pairs.losses, vector(expected["losses"])), kExact);
    EXPECT_LT(largest_difference(pairs.gradient, matrix(expected["student"])), kExact);
  }
}

TEST(Span, Limits) {
  const at::Tensor logits = random_logits(4, 9, 2, 14);
  const PairLosses equal = span_losses(distributions(logits, logits), {0, 2}, SpanDistance::kEuclidean);
  EXPECT_LE(equal.losses.max().item<double>(), 1.0001e-6);  // the square root of its epsilon
  EXPECT_LT(equal.gradient.abs().max().item<double>(), 1e-12);
  // Opposite certainties: the largest value there is.
  const at::Tensor sure = at::tensor({60., 0., 0.}, at::kDouble), other = at::tensor({0., 60., 0.}, at::kDouble);
  const Distributions apart = distributions(at::stack({sure, sure}), at::stack({other, other}));
  EXPECT_NEAR(span_losses(apart, {0}, SpanDistance::kEuclidean).losses.item<double>(), std::sqrt(2.0), 1e-9);
  // Neighbours that are sure of different tokens have no correlation.
  const Distributions unlike = distributions(at::stack({sure, other}), at::stack({sure, other}));
  EXPECT_LT((unlike.p[0] * unlike.p[1]).max().item<double>(), 1e-20);
  const PairLosses none = span_losses(apart, {}, SpanDistance::kEuclidean);
  EXPECT_EQ(none.losses.numel(), 0);
  EXPECT_EQ(none.gradient.abs().max().item<double>(), 0);
}

}  // namespace
}  // namespace kinglet::mgsr
