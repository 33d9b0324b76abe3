#include "kinglet/methods/excp/store_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/folders.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/training_run.h"

#include "kinglet/base/error.h"

namespace kinglet::excp {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using namespace testing_support;

class StoreSinkTest : public testing::Test {
 protected:
  StoreSinkTest() : run(3) {
    run.add_tensor("a.weight", {100, 200});
    run.add_tensor("a.bias", {100});
  }
  void save(StoreSink& sink) {
    run.advance();
    run.write(sink.begin(run.step()));
    run.write_in(folder / "originals");
    sink.commit(run.step());
  }
  static Options lossless() {
    Options options;
    options.lossless = true;
    return options;
  }
  fs::path path() const { return folder / "store"; }
  std::string original(std::int64_t step) const { return folder / "originals" / fmt::format("checkpoint-{}", step); }

  TemporaryFolder folder;
  TrainingRun run;
};

TEST_F(StoreSinkTest, KeepsWhatTheLoopWroteAndGivesItBack) {
  StoreSink sink(path(), lossless(), /*verify=*/true);
  CheckpointSink& plug = sink;
  EXPECT_THAT(plug.steps(), IsEmpty());
  for (int i = 0; i < 3; ++i) save(sink);
  EXPECT_THAT(plug.steps(), ElementsAre(1, 2, 3));
  for (const std::int64_t step : {1, 2, 3}) EXPECT_THAT(different_files(original(step), plug.open(step)), IsEmpty());
  EXPECT_EQ(plug.open(2), plug.open(2));
  EXPECT_THROW(plug.open(9), Error);
}

TEST_F(StoreSinkTest, LeavesOnlyTheStoreBehind) {
  {
    StoreSink sink(path(), lossless());
    save(sink);
    sink.open(1);
    run.write(sink.begin(7));  // never committed: the program ends here
    EXPECT_TRUE(fs::exists(path() / "incoming"));
  }
  EXPECT_FALSE(fs::exists(path() / "incoming"));
  EXPECT_FALSE(fs::exists(path() / "restored"));
  const Store store = Store::open(path(), Store::Access::kRead);
  EXPECT_EQ(store.steps().size(), 1U);
  EXPECT_TRUE(store.verify().front().ok);
}

TEST_F(StoreSinkTest, AKilledRunLeavesNothingInTheWay) {
  { StoreSink sink(path(), lossless()); }
  run.advance();
  run.write(path() / "incoming" / "checkpoint-1");  // as a kill would leave it
  StoreSink sink(path(), lossless());
  EXPECT_FALSE(fs::exists(path() / "incoming"));
  EXPECT_TRUE(fs::is_empty(sink.begin(1)));
}

TEST_F(StoreSinkTest, RefusesOldStepsBeforeAnythingIsWritten) {
  StoreSink sink(path(), lossless());
  save(sink);
  save(sink);
  EXPECT_THROW(sink.begin(2), Error);
  EXPECT_THROW(sink.begin(1), Error);
  EXPECT_THROW(sink.commit(5), Error);  // no begin
}

TEST_F(StoreSinkTest, TellsTheListenerWhatWasStored) {
  Options options;
  options.lambda = 1;
  StoreSink sink(path(), options);
  std::vector<bool> keys;
  sink.on_added([&](const AddReport& report) { keys.push_back(report.info.key); });
  save(sink);
  save(sink);
  EXPECT_THAT(keys, ElementsAre(true, false));
}

}  // namespace
}  // namespace kinglet::excp
