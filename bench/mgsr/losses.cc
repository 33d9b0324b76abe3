// What the terms of a distillation's loss cost: time and peak memory beside plain KD, and beside whole matrices of
// logits.
//
//   build/bench/mgsr_losses [VOCABULARY] [ROWS] [DIM]      (50257 512 256)
//
// Forward and backward for the student's hidden states and output matrix; the teacher's logits come from hidden states
// of twice the width. One thread, processor time. Memory is the growth of the resident set's peak, each case in a
// process of its own.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include "bench/support/command_line.h"
#include "bench/support/stopwatch.h"

#include "kinglet/base/parallel.h"
#include "kinglet/methods/mgsr/distillation_loss.h"
#include "kinglet/nn/token_loss.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/torch_threads.h"

namespace {

using namespace kinglet;
using namespace kinglet::mgsr;

struct Case {
  std::int64_t vocabulary, rows, dim;
  at::Tensor hidden, weight, teacher_hidden, teacher_weight, labels;
  std::vector<std::int64_t> pairs;

  Case(std::int64_t classes, std::int64_t count, std::int64_t width) : vocabulary(classes), rows(count), dim(width) {
    torch::manual_seed(1);
    hidden = at::randn({rows, dim}).requires_grad_();
    weight = (at::randn({vocabulary, dim}) * 0.1).requires_grad_();
    teacher_hidden = at::randn({rows, 2 * dim});
    teacher_weight = at::randn({vocabulary, 2 * dim}) * 0.1;
    labels = at::randint(vocabulary, {rows}, at::kLong);
    for (std::int64_t i = 0; i + 1 < rows; ++i) {
      if (i % 4 != 3) pairs.push_back(i);
    }
  }
};

double peak_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  return 0;
}

struct Cost {
  double milliseconds = 0, mib = 0;
};

// In a child process, so that one case's peak is not another's.
Cost measure(const std::function<void(Case&)>& body, std::int64_t vocabulary, std::int64_t rows, std::int64_t dim) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    set_num_threads(1);
    share_torch_threads();
    Case problem(vocabulary, rows, dim);
    problem.hidden.mutable_grad() = at::zeros_like(problem.hidden);
    problem.weight.mutable_grad() = at::zeros({vocabulary, dim});
    const double before = peak_mib();
    body(problem);
    Cost cost;
    cost.mib = peak_mib() - before;
    std::vector<double> seconds;
    for (int i = 0; i < 3; ++i) seconds.push_back(bench::seconds_of([&] { body(problem); }).cpu);
    cost.milliseconds = 1e3 * *std::min_element(seconds.begin(), seconds.end());
    const bool written = write(ends[1], &cost, sizeof(cost)) == sizeof(cost);
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  Cost cost;
  const bool complete = read(ends[0], &cost, sizeof(cost)) == sizeof(cost);
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return complete ? cost : Cost{};
}

void chunked(Case& problem, const LossSettings& settings) {
  const ModelTeacherRows teacher(problem.teacher_hidden, problem.teacher_weight);
  const BandNetwork network(problem.vocabulary, 64, 1);
  LossReport report;
  distillation_loss_sum({problem.hidden, problem.weight, problem.labels, problem.pairs, &teacher,
                         settings.band_weight != 0 ? &network : nullptr},
                        settings, report)
      .backward();
}

// KD as it is usually written.
void whole(Case& problem) {
  const at::Tensor logits = problem.hidden.matmul(problem.weight.t());
  const at::Tensor teacher = problem.teacher_hidden.matmul(problem.teacher_weight.t());
  const at::Tensor log_q = logits.log_softmax(-1), log_p = teacher.log_softmax(-1);
  (log_p.exp() * (log_p - log_q)).sum().backward();
}

int run_cases(std::int64_t vocabulary, std::int64_t rows, std::int64_t dim) {
  std::printf("vocabulary %lld, %lld rows, width %lld (teacher %lld)\n\n", static_cast<long long>(vocabulary),
              static_cast<long long>(rows), static_cast<long long>(dim), static_cast<long long>(2 * dim));
  LossSettings kd, sft, skew, jsd, dac, span, all;
  sft.cross_entropy_weight = 1;
  kd.divergence_weight = 1;
  skew = jsd = kd;
  skew.divergence.kind = Divergence::kSkewForward;
  jsd.divergence.kind = Divergence::kJensenShannon;
  dac.band_weight = 1;
  span.span_weight = 1;
  all.cross_entropy_weight = all.band_weight = all.span_weight = 1;
  const std::vector<std::pair<const char*, LossSettings>> cases = {
      {"cross-entropy", sft}, {"KD: KL(P||Q)", kd}, {"skew KL", skew},           {"JSD", jsd},
      {"DAC-KL", dac},        {"spans", span},      {"CE + DAC-KL + spans", all}};
  const auto run = [&](const std::function<void(Case&)>& body) { return measure(body, vocabulary, rows, dim); };
  const Cost base = run([&](Case& problem) { chunked(problem, kd); });
  std::printf("%-34s %10s %8s %12s\n", "", "ms", "to KD", "peak, MiB");
  const auto print = [&](const char* name, const Cost& cost) {
    std::printf("%-34s %10.1f %8.2f %12.0f\n", name, cost.milliseconds, cost.milliseconds / base.milliseconds,
                cost.mib);
    std::fflush(stdout);
  };
  for (const auto& [name, settings] : cases) print(name, run([&](Case& problem) { chunked(problem, settings); }));
  print("KD, whole matrices (LibTorch)", run([](Case& problem) { whole(problem); }));
  print("cross-entropy (nn/token_loss)",
        run([](Case& problem) { nn::token_loss_sum(problem.hidden, problem.weight, problem.labels).backward(); }));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::int64_t vocabulary = 50257, rows = 512, dim = 256;
  CLI::App app("What the terms of a distillation's loss cost");
  app.add_option("vocabulary", vocabulary)->check(CLI::Range(64, 1 << 20))->capture_default_str();
  app.add_option("rows", rows)->check(CLI::Range(1, 1 << 30))->capture_default_str();
  app.add_option("dim", dim, "Width of the student's hidden states")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  return kinglet::run_bench(app, argc, argv, [&] { return run_cases(vocabulary, rows, dim); });
}
