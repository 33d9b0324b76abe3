// Two processes that train together: against one process, and when one of them dies.
#include <bit>
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
#include "kinglet/train/plain_checkpoint_sink.h"
#include "kinglet/train/process_group.h"
#include "kinglet/train/training_run.h"

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

constexpr std::int64_t kSteps = 30;
constexpr const char* kFolder = "KINGLET_PARALLEL_CHILD_FOLDER";

bool has_gloo() {
  static const bool present = [] {
    try {
      ProcessLayout layout;
      layout.port = static_cast<std::uint16_t>(20000 + getpid() % 20000);
      const ProcessGroup alone(layout, 10);
      return true;
    } catch (const Error&) {
      return false;
    }
  }();
  return present;
}

void log_losses(RunEvents& events, const fs::path& file) {
  events.on_step = [file](const StepReport& report) {
    std::ofstream(file, std::ios::app) << fmt::format("{} {:016x}\n", report.step,
                                                      std::bit_cast<std::uint64_t>(report.loss));
  };
}

TEST(ParallelChild, Trains) {
  const char* folder = std::getenv(kFolder);
  if (folder == nullptr) GTEST_SKIP() << "only as a child of the tests below";
  try {
    install_interrupt_handler();
    const auto group = std::make_shared<ProcessGroup>(process_layout_from_environment(), 30);
    TinyRun run("llama");
    // What the other processes begin with does not matter: they get the state of the first.
    if (group->rank() != 0) run.decoder->initialize(1000);
    LanguageTrainer trainer(run.decoder, run.data, TinyRun::usual(), group);
    RunEvents events;
    std::unique_ptr<PlainCheckpointSink> sink;
    if (trainer.is_first()) {
      sink = std::make_unique<PlainCheckpointSink>(fs::path(folder) / "checkpoints");
      log_losses(events, fs::path(folder) / "losses");
    }
    run_training(trainer, {kSteps, 5, 0, 0}, sink.get(), nullptr, events);
  } catch (const Error& error) {
    std::ofstream(fs::path(folder) / "errors", std::ios::app) << error.what() << "\n";
    std::_Exit(error.exit_code());
  }
}

class Pair {
 public:
  Pair(const fs::path& folder, int port) {
    for (int rank = 0; rank < 2; ++rank) {
      processes_[rank] = start_child("ParallelChild.Trains", {{kFolder, folder.string()},
                                                              {"RANK", std::to_string(rank)},
                                                              {"WORLD_SIZE", "2"},
                                                              {"MASTER_PORT", std::to_string(port)}});
    }
  }
  pid_t operator[](int rank) const { return processes_[rank]; }

 private:
  pid_t processes_[2];
};

int any_port() {
  static int next = 20000 + getpid() % 20000;
  return ++next;
}

class DataParallel : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_gloo()) GTEST_SKIP() << "this build has no Gloo";
    fs::create_directories(folder / "pair");
    // One process that accumulates two batches reads what two processes read.
    LanguageSettings settings = TinyRun::usual();
    settings.accumulation = 2;
    TinyRun run("llama", settings);
    RunEvents events;
    log_losses(events, folder / "alone-losses");
    PlainCheckpointSink sink(folder / "alone");
    run_training(*run.trainer, {kSteps, 0, 0, 0}, &sink, nullptr, events);
  }
  // Two summands give the same sum in either order, so the comparison is exact.
  void expect_equal_to_one_process() {
    bool differs = false;
    const auto expected = losses_of(folder / "alone-losses", differs);
    EXPECT_EQ(static_cast<std::int64_t>(expected.size()), kSteps);
    EXPECT_EQ(losses_of(folder / "pair" / "losses", differs), expected);
    EXPECT_FALSE(differs);
    const std::string checkpoint = fmt::format("checkpoint-{}", kSteps);
    for (const char* file : {"model.safetensors", "optimizer.pt"}) {
      EXPECT_EQ(slurp(folder / "pair" / "checkpoints" / checkpoint / file),
                slurp(folder / "alone" / checkpoint / file));
    }
  }
  const TemporaryFolder folder;
};

TEST_F(DataParallel, TwoProcessesAreOneWithTwiceTheBatch) {
  const Pair pair(folder / "pair", any_port());
  EXPECT_EQ(wait_for(pair[0]), 0) << slurp(folder / "pair" / "errors");
  EXPECT_EQ(wait_for(pair[1]), 0);
  expect_equal_to_one_process();
}

// The death of one ends the other with an error that says so; started again, both go on.
TEST_F(DataParallel, ADeadProcessEndsTheOthersAndTheRunGoesOn) {
  {
    const Pair pair(folder / "pair", any_port());
    ASSERT_TRUE(signal_after(pair[1], folder / "pair" / "losses", 12, SIGKILL));
    EXPECT_EQ(wait_for(pair[1]), 128 + SIGKILL);
    EXPECT_EQ(wait_for(pair[0]), 1);
    EXPECT_THAT(slurp(folder / "pair" / "errors"), testing::HasSubstr("another process of the run is gone"));
  }
  const Pair pair(folder / "pair", any_port());
  EXPECT_EQ(wait_for(pair[0]), 0) << slurp(folder / "pair" / "errors");
  EXPECT_EQ(wait_for(pair[1]), 0);
  expect_equal_to_one_process();
}

// An interrupt of one process stops both at the same step, saved.
TEST_F(DataParallel, AnInterruptStopsAllTogether) {
  {
    const Pair pair(folder / "pair", any_port());
    ASSERT_TRUE(signal_after(pair[1], folder / "pair" / "losses", 7, SIGINT));
    EXPECT_EQ(wait_for(pair[0]), 130);
    EXPECT_EQ(wait_for(pair[1]), 130);
  }
  const Pair pair(folder / "pair", any_port());
  EXPECT_EQ(wait_for(pair[0]), 0) << slurp(folder / "pair" / "errors");
  EXPECT_EQ(wait_for(pair[1]), 0);
  expect_equal_to_one_process();
}

class ProcessLayoutTest : public testing::Test {
 protected:
  ProcessLayoutTest() { clear(); }
  ~ProcessLayoutTest() override { clear(); }
  static void clear() {
    for (const char* name : {"RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK",
                             "PMI_SIZE", "SLURM_PROCID", "SLURM_NTASKS", "MASTER_ADDR", "MASTER_PORT"}) {
      unsetenv(name);
    }
  }
};

TEST_F(ProcessLayoutTest, IsReadFromEveryLauncher) {
  EXPECT_EQ(process_layout_from_environment().world, 1);
  setenv("SLURM_PROCID", "3", 1);
  setenv("SLURM_NTASKS", "4", 1);
  EXPECT_EQ(process_layout_from_environment().rank, 3);
  setenv("RANK", "1", 1);  // torchrun inside a Slurm job
  setenv("WORLD_SIZE", "2", 1);
  setenv("MASTER_ADDR", "node-7", 1);
  setenv("MASTER_PORT", "1234", 1);
  const ProcessLayout layout = process_layout_from_environment();
  EXPECT_EQ(layout.rank, 1);
  EXPECT_EQ(layout.world, 2);
  EXPECT_EQ(layout.address, "node-7");
  EXPECT_EQ(layout.port, 1234);
}

TEST_F(ProcessLayoutTest, NonsenseIsRefused) {
  setenv("RANK", "2", 1);
  EXPECT_THROW(process_layout_from_environment(), Error);  // no world
  setenv("WORLD_SIZE", "2", 1);
  EXPECT_THROW(process_layout_from_environment(), Error);  // rank too large
  setenv("RANK", "x", 1);
  EXPECT_THROW(process_layout_from_environment(), Error);
  setenv("RANK", "0", 1);
  setenv("MASTER_PORT", "70000", 1);
  EXPECT_THROW(process_layout_from_environment(), Error);
}

}  // namespace
}  // namespace kinglet
