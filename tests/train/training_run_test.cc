// Runs that are killed or interrupted and go on, with checkpoints in plain folders and in a lossless ExCP store.
#include "kinglet/train/training_run.h"

#include <bit>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_language.h"
#include "tests/support/training_child.h"

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/rng.h"
#include "kinglet/methods/excp/store_sink.h"
#include "kinglet/train/plain_checkpoint_sink.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using testing_support::losses_of;
using testing_support::signal_after;
using testing_support::slurp;
using testing_support::start_child;
using testing_support::TemporaryFolder;
using testing_support::TinyRun;
using testing_support::wait_for;

constexpr std::int64_t kRunSteps = 40;
constexpr const char* kChildFolder = "KINGLET_TRAINING_CHILD_FOLDER";
constexpr const char* kChildSink = "KINGLET_TRAINING_CHILD_SINK";

std::unique_ptr<CheckpointSink> make_sink(const std::string& kind, const fs::path& folder) {
  if (kind == "plain") return std::make_unique<PlainCheckpointSink>(folder / "checkpoints");
  excp::Options options;
  options.lossless = true;
  return std::make_unique<excp::StoreSink>(folder / "run.store", options);
}

// What the child process does: trains, and appends "step loss" with all bits of the loss to a file.
void train_in(const fs::path& folder, const std::string& sink_kind) {
  install_interrupt_handler();
  TinyRun run("llama");
  const auto sink = make_sink(sink_kind, folder);
  RunEvents events;
  events.on_step = [&](const StepReport& report) {
    std::ofstream log(folder / "losses", std::ios::app);
    log << fmt::format("{} {:016x}\n", report.step, std::bit_cast<std::uint64_t>(report.loss));
  };
  run_training(*run.trainer, {kRunSteps, 3, 10, 2}, sink.get(), run.data.get(), events);
}

TEST(TrainingChild, Trains) {
  const char *folder = std::getenv(kChildFolder), *sink = std::getenv(kChildSink);
  if (folder == nullptr || sink == nullptr) GTEST_SKIP() << "only as a child of the tests below";
  try {
    train_in(folder, sink);
  } catch (const Error& error) {
    std::_Exit(error.exit_code());
  }
}

pid_t child(const fs::path& folder, const std::string& sink) {
  return start_child("TrainingChild.Trains", {{kChildFolder, folder.string()}, {kChildSink, sink}});
}

class KilledRun : public testing::TestWithParam<std::tuple<const char*, int>> {};

// Killed or interrupted again and again, the run is the uninterrupted one to the last bit.
TEST_P(KilledRun, IsTheUninterruptedRun) {
  const auto& [sink, signal] = GetParam();
  const TemporaryFolder folder;
  fs::create_directories(folder / "whole");
  fs::create_directories(folder / "killed");
  ASSERT_EQ(wait_for(child(folder / "whole", sink)), 0);
  Rng rng(11);
  int stopped = 0, code = -1;
  for (int start = 0; start < 30 && code != 0; ++start) {
    const pid_t process = child(folder / "killed", sink);
    stopped += signal_after(process, folder / "killed" / "losses", 4 + rng.below(9), signal) ? 1 : 0;
    code = wait_for(process);
    ASSERT_TRUE(code == 0 || code == (signal == SIGKILL ? 128 + SIGKILL : 130)) << code;
  }
  ASSERT_EQ(code, 0);
  EXPECT_GE(stopped, 2);
  bool differs = false;
  const auto expected = losses_of(folder / "whole" / "losses", differs);
  EXPECT_EQ(static_cast<std::int64_t>(expected.size()), kRunSteps);
  EXPECT_EQ(losses_of(folder / "killed" / "losses", differs), expected);
  EXPECT_FALSE(differs) << "a step differs when it is made again";
  const auto whole = make_sink(sink, folder / "whole"), killed = make_sink(sink, folder / "killed");
  ASSERT_EQ(whole->steps().back(), kRunSteps);
  ASSERT_EQ(killed->steps().back(), kRunSteps);
  const fs::path a = whole->open(kRunSteps), b = killed->open(kRunSteps);
  for (const char* file : {"model.safetensors", "optimizer.pt", "trainer_state.json"}) {
    EXPECT_EQ(slurp(a / file), slurp(b / file)) << file;
  }
}

INSTANTIATE_TEST_SUITE_P(Sinks, KilledRun,
                         testing::Combine(testing::Values("plain", "store"), testing::Values(SIGKILL, SIGINT)));

TEST(TrainingRun, EvaluatesAndKeepsTheBest) {
  const TemporaryFolder folder;
  TinyRun run("llama");
  PlainCheckpointSink sink(folder / "checkpoints");
  std::vector<EvaluationReport> reports;
  std::vector<std::int64_t> saved;
  RunEvents events;
  events.on_evaluation = [&](const EvaluationReport& report) { reports.push_back(report); };
  events.on_checkpoint = [&](std::int64_t step) { saved.push_back(step); };
  EXPECT_EQ(run_training(*run.trainer, {25, 10, 5, 2}, &sink, run.data.get(), events), 0);
  EXPECT_THAT(saved, testing::ElementsAre(10, 20, 25));
  EXPECT_EQ(sink.steps(), saved);
  ASSERT_EQ(reports.size(), 5U);
  EXPECT_TRUE(reports.front().is_best);
  EXPECT_LT(reports.back().loss, reports.front().loss);
  // A finished run has nothing to do.
  TinyRun again("llama");
  EXPECT_EQ(run_training(*again.trainer, {25, 10, 5, 2}, &sink), 25);
}

}  // namespace
}  // namespace kinglet
