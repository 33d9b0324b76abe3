#include "kinglet/methods/excp/add_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/folders.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/training_run.h"

#include "kinglet/base/error.h"

namespace kinglet::excp {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;
using namespace testing_support;

class AddCheckpoint : public testing::Test {
 protected:
  AddCheckpoint() : run(3) {
    run.add_tensor("a.weight", {50, 40});
    run.advance();
    checkpoint = run.write_in(folder / "run");
  }
  Store writer() const { return Store::open(folder / "store", Store::Access::kWrite); }

  TemporaryFolder folder;
  TrainingRun run;
  fs::path checkpoint;
  AddSettings settings;
};

TEST_F(AddCheckpoint, TakesTheStepFromTheCheckpointUnlessGiven) {
  Store store = writer();
  EXPECT_EQ(add_checkpoint(store, checkpoint, {}, settings).info.step, 1);
  EXPECT_EQ(add_checkpoint(store, checkpoint, 20, settings).info.step, 20);
  EXPECT_TRUE(fs::exists(checkpoint));
}

TEST_F(AddCheckpoint, AsksForAStepThatNothingTells) {
  fs::rename(checkpoint, folder / "final");
  fs::remove(folder / "final" / "trainer_state.json");
  Store store = writer();
  EXPECT_THROW(add_checkpoint(store, folder / "final", {}, settings), Error);
  EXPECT_EQ(add_checkpoint(store, folder / "final", 5, settings).info.step, 5);
}

TEST_F(AddCheckpoint, ReplaceDeletesTheOriginalThatTheStoreGivesBack) {
  fs::copy(checkpoint, folder / "copy", fs::copy_options::recursive);
  settings.replace = true;
  Store store = writer();
  add_checkpoint(store, checkpoint / "", {}, settings);
  EXPECT_TRUE(fs::is_empty(folder / "run"));
  store.get(1, folder / "restored");
  EXPECT_THAT(different_files(folder / "copy", folder / "restored"), IsEmpty());
}

TEST_F(AddCheckpoint, ReplaceRefusesLinksAndFoldersAroundTheStore) {
  settings.replace = true;
  fs::create_directory_symlink(checkpoint, folder / "checkpoint-5");
  Store store = writer();
  EXPECT_THROW(add_checkpoint(store, folder / "checkpoint-5", {}, settings), Error);
  Store inside = Store::open(checkpoint / "store", Store::Access::kWrite);
  EXPECT_THROW(add_checkpoint(inside, checkpoint, {}, settings), Error);
  EXPECT_TRUE(fs::exists(checkpoint / "model.safetensors"));
  EXPECT_THAT(store.steps(), IsEmpty());
  EXPECT_THAT(inside.steps(), IsEmpty());
}

TEST_F(AddCheckpoint, ReplaceKeepsTheOriginalWhenTheStepIsRefused) {
  settings.replace = true;
  settings.options.beta = -1;
  Store store = writer();
  EXPECT_THROW(add_checkpoint(store, checkpoint, {}, settings), Error);
  EXPECT_TRUE(fs::exists(checkpoint / "model.safetensors"));
}

}  // namespace
}  // namespace kinglet::excp
