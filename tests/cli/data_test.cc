// kinglet data: import and inspect.
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::put;
using testing_support::run_kinglet;
using testing_support::TemporaryFolder;

TEST(Data, ImportThenInspect) {
  const TemporaryFolder folder;
  put(folder / "in.txt", "one\n\ntwo\n");
  const std::string in = (folder / "in.txt").string(), out = (folder / "out.jsonl").string();
  auto result = run_kinglet({"data", "import", "--from", "text", "--input", in, "--unit", "paragraph", "--out", out});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("out.jsonl: 2 documents"));
  result = run_kinglet({"data", "inspect", out, "--examples", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("2 documents"), HasSubstr("one"), Not(HasSubstr("two"))));
  result = run_kinglet({"data", "inspect", out, "--json"});
  EXPECT_EQ(nlohmann::json::parse(result.out)["documents"], 2);
}

TEST(Data, BadInputIsOneLineAndExitCodeTwo) {
  const TemporaryFolder folder;
  put(folder / "bad.jsonl", "{\"text\": \"a\"}\n{\"text\": 5}\n");
  const auto result = run_kinglet({"data", "inspect", (folder / "bad.jsonl").string()});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, AllOf(HasSubstr("bad.jsonl, line 2"), HasSubstr("'text'")));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
  EXPECT_EQ(run_kinglet({"data", "inspect", (folder / "none").string()}).exit_code, 2);
  EXPECT_EQ(run_kinglet({"data", "import", "--from", "csv", "--out", "x"}).exit_code, 2);
}

}  // namespace
}  // namespace kinglet
