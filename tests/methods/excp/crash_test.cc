// Crashes: a writer that is killed, and a disk that is full, lose nothing that was reported as saved.
#include <csignal>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/folders.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/training_run.h"

#include "kinglet/base/error.h"
#include "kinglet/methods/excp/store.h"

namespace kinglet::excp {
namespace {

namespace fs = std::filesystem;
using namespace testing_support;

Options options_of(std::int64_t step) {
  Options options;
  options.lambda = 1;
  options.lossless = step % 5 == 0;
  options.key_every = 6;
  return options;
}

// In a child process: `body`'s return value becomes the exit code.
pid_t start_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    int code = 99;
    try {
      code = body();
    } catch (const std::exception& error) {
      fmt::print(stderr, "child: {}\n", error.what());
    }
    _exit(code);
  }
  return child;
}

TEST(Crash, AKilledWriterLosesNothingThatWasReported) {
  constexpr std::int64_t kSteps = 200;
  const TemporaryFolder folder = TemporaryFolder::in_memory();
  TrainingRun run(1);
  run.add_tensor("a.weight", {60, 32});
  run.add_tensor("b.weight", {7});
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    run.advance();
    run.write_in(folder / "run");
  }
  const fs::path store_path = folder / "store";
  Rng rng(4);
  int kills = 0;
  std::int64_t reported = 0;
  std::uint64_t longest = 40000;  // microseconds until the kill
  while (reported < kSteps) {
    int channel[2];
    ASSERT_EQ(pipe(channel), 0);
    const pid_t child = start_child([&] {
      Store store = Store::open(store_path, Store::Access::kWrite);
      for (std::int64_t step = store.steps().empty() ? 1 : store.steps().back().step + 1; step <= kSteps; ++step) {
        store.add(Checkpoint::open(folder / "run" / fmt::format("checkpoint-{}", step)), step, options_of(step));
        if (write(channel[1], &step, sizeof(step)) != sizeof(step)) return 1;
      }
      return 0;
    });
    close(channel[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(2000 + rng.below(longest)));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    kills += WIFSIGNALED(status) ? 1 : 0;
    const std::int64_t before = reported;
    for (std::int64_t step = 0; read(channel[0], &step, sizeof(step)) == sizeof(step);) reported = step;
    if (reported == before) longest *= 2;  // a slow build or machine: let the writer get somewhere
    close(channel[0]);
    if (!fs::exists(store_path / "manifest.json")) continue;  // killed before the store existed
    const Store store = Store::open(store_path, Store::Access::kRead);
    ASSERT_GE(static_cast<std::int64_t>(store.steps().size()), reported);
    if (store.steps().empty()) continue;
    for (const Store::VerifyReport& report : store.verify(store.steps().back().step)) {
      ASSERT_TRUE(report.ok) << report.problem;
    }
  }
  for (const Store::VerifyReport& report : Store::open(store_path, Store::Access::kRead).verify()) {
    EXPECT_TRUE(report.ok) << report.problem;
  }
  EXPECT_GT(kills, 5);
  // What the interrupted writers made is what one writer makes.
  Store other = Store::open(folder / "other", Store::Access::kWrite);
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    other.add(Checkpoint::open(folder / "run" / fmt::format("checkpoint-{}", step)), step, options_of(step));
  }
  EXPECT_EQ(folder_content(store_path / "steps"), folder_content(folder / "other" / "steps"));
}

// A limit on the size of files fails writes as a full disk does.
int add_with_limit(const fs::path& store_path, const fs::path& checkpoint, std::int64_t step, std::uint64_t limit) {
  signal(SIGXFSZ, SIG_IGN);
  const rlimit bound{limit, limit};
  setrlimit(RLIMIT_FSIZE, &bound);
  try {
    Store store = Store::open(store_path, Store::Access::kWrite);
    store.add(Checkpoint::open(checkpoint), step, options_of(step));
  } catch (const Error& error) {
    const std::string_view message = error.what();
    return message.find("size limit") != std::string_view::npos && error.exit_code() == 1 ? 7 : 8;
  }
  return 0;
}

TEST(Crash, AFullDiskIsReportedAndTheStoreStaysIntact) {
  const TemporaryFolder folder = TemporaryFolder::in_memory();
  TrainingRun run(2);
  run.add_tensor("a.weight", {300, 256});
  run.advance();
  const fs::path first = run.write_in(folder / "run");
  run.advance();
  const fs::path second = run.write_in(folder / "run");
  const fs::path store_path = folder / "store";
  Store::open(store_path, Store::Access::kWrite).add(Checkpoint::open(first), 1, options_of(1));
  const auto before = folder_content(store_path / "steps");
  int failures = 0;
  for (const std::uint64_t limit : {100U, 1000U, 5000U, 20000U}) {
    const pid_t child = start_child([&] { return add_with_limit(store_path, second, 2, limit); });
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_EQ(WEXITSTATUS(status), 7) << limit;
    ++failures;
    EXPECT_EQ(folder_content(store_path / "steps"), before) << limit;
    EXPECT_TRUE(Store::open(store_path, Store::Access::kRead).verify().at(0).ok);
  }
  EXPECT_EQ(failures, 4);
  Store store = Store::open(store_path, Store::Access::kWrite);
  store.add(Checkpoint::open(second), 2, options_of(2), true);
  EXPECT_EQ(store.steps().size(), 2U);
}

TEST(Crash, LeftoversAreRemovedAndUserFilesAreNot) {
  const TemporaryFolder folder = TemporaryFolder::in_memory();
  TrainingRun run(2);
  run.add_tensor("a.weight", {16, 16});
  run.advance();
  const fs::path store_path = folder / "store";
  Store::open(store_path, Store::Access::kWrite).add(Checkpoint::open(run.write_in(folder / "run")), 1, options_of(1));
  const pid_t gone = start_child([] { return 0; });
  waitpid(gone, nullptr, 0);
  write_file_atomically(store_path / "steps" / fmt::format("0000000002.step.tmp.{}.0", gone), as_bytes("half"));
  write_file_atomically(store_path / "steps" / "0000000002.step", as_bytes("complete but never listed"));
  write_file_atomically(store_path / "steps" / "notes.txt", as_bytes("mine"));
  Store::open(store_path, Store::Access::kWrite);
  const auto content = folder_content(store_path / "steps");
  EXPECT_EQ(content.size(), 2U);
  EXPECT_TRUE(content.contains("0000000001.step"));
  EXPECT_TRUE(content.contains("notes.txt"));
}

}  // namespace
}  // namespace kinglet::excp
