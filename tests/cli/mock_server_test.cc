// The command line of kinglet mock-server.
#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::ProcessResult;
using testing_support::run_kinglet;

TEST(MockServerCommand, RefusesFaultsThatItDoesNotKnow) {
  const ProcessResult unknown = run_kinglet({"mock-server", "--port", "0", "--fault", "tsunami=0.5"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("'tsunami' is not known"));
  const ProcessResult shape = run_kinglet({"mock-server", "--port", "0", "--fault", "cut"});
  EXPECT_EQ(shape.exit_code, 2);
  const ProcessResult sum = run_kinglet({"mock-server", "--port", "0", "--fault", "cut=0.7", "--fault", "reset=0.7"});
  EXPECT_EQ(sum.exit_code, 2);
  EXPECT_THAT(sum.err, HasSubstr("more than 1"));
}

TEST(MockServerCommand, SaysWhereItListensAndCountsAtItsEnd) {
  const testing_support::TemporaryFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    dup2(open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
    dup2(open((folder / "err").c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    execl(KINGLET_PROGRAM, KINGLET_PROGRAM, "mock-server", "--port", "0", "--json", nullptr);
    _exit(127);
  }
  for (int i = 0; i < 500 && testing_support::slurp(folder / "err").empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_THAT(testing_support::slurp(folder / "err"), HasSubstr("listening on http://127.0.0.1:"));
  ::kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_THAT(testing_support::slurp(folder / "out"), HasSubstr("\"accepted\": 0"));
}

}  // namespace
}  // namespace kinglet
