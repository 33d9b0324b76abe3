#include "kinglet/methods/excp/run_folder.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"

namespace kinglet::excp {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing_support::TemporaryFolder;

std::vector<std::int64_t> steps_of(const std::vector<RunCheckpoint>& checkpoints) {
  std::vector<std::int64_t> steps;
  for (const RunCheckpoint& checkpoint : checkpoints) steps.push_back(checkpoint.step);
  return steps;
}

class RunFolder : public testing::Test {
 protected:
  fs::path folder(const std::string& name) {
    fs::create_directories(run / name);
    return run / name;
  }
  fs::path file(const std::string& name) {
    std::ofstream(run / name) << "x";
    return run / name;
  }
  std::vector<std::int64_t> found() const { return steps_of(find_run_checkpoints(run.path())); }
  static ReadyCheckpoints ready(const std::vector<RunCheckpoint>& checkpoints, FileClock::duration later) {
    return find_ready(checkpoints, seconds(60), FileClock::now() + later);
  }

  TemporaryFolder run;
};

TEST_F(RunFolder, FindsFoldersInNumericOrder) {
  for (const char* name : {"checkpoint-1000", "checkpoint-500", "checkpoint-20000", "logs", "tmp-checkpoint-3000.tmp",
                           "checkpoint-best"}) {
    folder(name);
  }
  file("trainer_state.json");
  file("model-7.pt");  // beside folders, files are something else
  EXPECT_THAT(found(), ElementsAre(500, 1000, 20000));
}

TEST_F(RunFolder, FindsDeepSpeedMegatronAndFiles) {
  folder("global_step10");
  folder("iter_0000020");
  EXPECT_THAT(found(), ElementsAre(10, 20));
  fs::remove_all(run / "global_step10");
  fs::remove_all(run / "iter_0000020");
  for (const char* name : {"model-30.pt", "model-4.pt", "model.pt", "readme-5.txt", "log_9.json"}) file(name);
  EXPECT_THAT(found(), ElementsAre(4, 30));
}

TEST_F(RunFolder, AnEmptyRunHasNoneAndAMissingOneIsAnError) {
  EXPECT_THAT(found(), IsEmpty());
  EXPECT_THROW(find_run_checkpoints(run / "nowhere"), Error);
  EXPECT_THROW(find_run_checkpoints(file("a-file")), Error);
}

TEST_F(RunFolder, RefusesTwoCheckpointsOfOneStep) {
  file("model-5.pt");
  file("optimizer-5.pt");
  EXPECT_THROW(found(), Error);
}

TEST_F(RunFolder, PlanSkipsStoredAndSetsTooOldApart) {
  for (const char* name : {"checkpoint-1", "checkpoint-2", "checkpoint-3", "checkpoint-4"}) folder(name);
  const auto checkpoints = find_run_checkpoints(run.path());
  StepInfo one, three;
  one.step = 1;
  three.step = 3;
  const RunPlan plan = plan_run(checkpoints, {one, three});
  EXPECT_THAT(steps_of(plan.stored), ElementsAre(1, 3));
  EXPECT_THAT(steps_of(plan.too_old), ElementsAre(2));
  EXPECT_THAT(steps_of(plan.to_add), ElementsAre(4));
  EXPECT_THAT(steps_of(plan_run(checkpoints, {}).to_add), ElementsAre(1, 2, 3, 4));
}

TEST_F(RunFolder, ACheckpointIsCompleteWhenNothingChangesForAWhile) {
  const fs::path path = folder("checkpoint-1/deep/er");
  EXPECT_EQ(completeness(run / "checkpoint-1", seconds(60), FileClock::now()), Completeness::kChanging);
  EXPECT_EQ(completeness(run / "checkpoint-1", seconds(60), FileClock::now() + hours(1)), Completeness::kComplete);
  const FileClock::time_point before = last_change(run / "checkpoint-1");
  std::ofstream(path / "late.bin") << "y";
  EXPECT_GE(last_change(run / "checkpoint-1"), before);
  // A file that claims to be old is as new as its arrival.
  fs::last_write_time(path / "late.bin", fs::file_time_type::clock::now() - hours(1000));
  EXPECT_GE(last_change(run / "checkpoint-1"), before);
}

TEST_F(RunFolder, AHuggingFaceFolderNeedsItsLastFile) {
  folder("checkpoint-1");
  file("checkpoint-1/training_args.bin");
  EXPECT_EQ(completeness(run / "checkpoint-1", seconds(60), FileClock::now() + hours(1)), Completeness::kUnfinished);
  file("checkpoint-1/trainer_state.json");
  EXPECT_EQ(completeness(run / "checkpoint-1", seconds(60), FileClock::now() + hours(1)), Completeness::kComplete);
}

TEST_F(RunFolder, AnUnfinishedCheckpointHoldsUpLaterOnesUnlessTheyAreComplete) {
  folder("checkpoint-1");
  folder("checkpoint-2");
  file("checkpoint-2/training_args.bin");
  auto checkpoints = find_run_checkpoints(run.path());
  EXPECT_THAT(steps_of(ready(checkpoints, seconds(0)).ready), IsEmpty());
  EXPECT_THAT(steps_of(ready(checkpoints, hours(1)).ready), ElementsAre(1));
  EXPECT_THAT(steps_of(ready(checkpoints, hours(1)).abandoned), IsEmpty());
  folder("checkpoint-3");
  checkpoints = find_run_checkpoints(run.path());
  EXPECT_THAT(steps_of(ready(checkpoints, hours(1)).ready), ElementsAre(1, 3));
  EXPECT_THAT(steps_of(ready(checkpoints, hours(1)).abandoned), ElementsAre(2));
}

}  // namespace
}  // namespace kinglet::excp
