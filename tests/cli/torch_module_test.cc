// Commands that need LibTorch load it into the running program: it must get along with every library already there.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

using testing_support::run_kinglet;
using testing_support::TemporaryFolder;

// The tour looks at its output folder only after the module is loaded.
TEST(TorchModule, IsLoadedIntoTheProgram) {
  const TemporaryFolder folder;
  std::ofstream(folder / "mine.txt") << "not a tour's\n";
  const auto result = run_kinglet({"tour", "--out", folder.path().string()});
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, testing::HasSubstr("not a tour's output"));
}

}  // namespace
}  // namespace kinglet
