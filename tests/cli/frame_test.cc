// The command frame: help, version, exit codes, one-line errors, completion.
#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::ProcessResult;
using testing_support::run_kinglet;
using testing_support::run_process;

void expect_one_line(const std::string& text) {
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_EQ(text.rfind("kinglet: ", 0), 0U) << text;
}

TEST(Frame, VersionNamesTheProgramAndItsKernels) {
  const ProcessResult result = run_kinglet({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, testing::MatchesRegex("kinglet [0-9]+\\.[0-9]+\\.[0-9]+ \\(.+ kernels\\)\n"));
}

TEST(Frame, EveryCommandHasHelpWithAnExample) {
  const std::vector<std::vector<std::string>> commands = {{},
                                                          {"ckpt"},
                                                          {"ckpt", "add"},
                                                          {"ckpt", "pack"},
                                                          {"ckpt", "watch"},
                                                          {"ckpt", "list"},
                                                          {"ckpt", "info"},
                                                          {"ckpt", "get"},
                                                          {"ckpt", "verify"},
                                                          {"ckpt", "diff"},
                                                          {"ckpt", "gc"},
                                                          {"ckpt", "rebase"},
                                                          {"ckpt", "export-plot"},
                                                          {"ckpt", "import-official"},
                                                          {"data"},
                                                          {"data", "import"},
                                                          {"data", "inspect"},
                                                          {"distill"},
                                                          {"eval"},
                                                          {"eval", "answers"},
                                                          {"inspect"},
                                                          {"tokenize"},
                                                          {"tour"},
                                                          {"train"},
                                                          {"completion"},
                                                          {"completion", "bash"}};
  for (std::vector<std::string> command : commands) {
    command.emplace_back("--help");
    const ProcessResult result = run_kinglet(command);
    EXPECT_EQ(result.exit_code, 0) << testing::PrintToString(command) << result.err;
    EXPECT_THAT(result.out, HasSubstr("Example:\n  ")) << testing::PrintToString(command);
  }
}

TEST(Frame, UsageErrorsAreOneLineWithTheRemedyAndExitCodeTwo) {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"no-such-command"},
                                                       {"inspect"},
                                                       {"inspect", "--no-such-option"},
                                                       {"ckpt"},
                                                       {"ckpt", "get"},
                                                       {"--threads", "many", "inspect", "x"}};
  for (const auto& arguments : wrong) {
    const ProcessResult result = run_kinglet(arguments);
    EXPECT_EQ(result.exit_code, 2) << testing::PrintToString(arguments);
    expect_one_line(result.err);
    EXPECT_THAT(result.err, HasSubstr("--help"));
    EXPECT_EQ(result.out, "");
  }
}

TEST(Frame, BadInputIsOneLineAndExitCodeTwo) {
  const ProcessResult result = run_kinglet({"inspect", "/no/such/file"});
  EXPECT_EQ(result.exit_code, 2);
  expect_one_line(result.err);
  EXPECT_THAT(result.err, HasSubstr("/no/such/file"));
}

TEST(Frame, CompletionOffersCommandsOptionsAndFiles) {
  const testing_support::TemporaryFolder folder;
  const std::ofstream file(folder.path() / "my checkpoint.pt");
  const std::string script =
      "cd '" + folder.path().string() + "' && source <(" + KINGLET_PROGRAM +
      " completion bash); complete_words() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _kinglet; "
      "printf '[%s]' \"${COMPREPLY[@]}\"; echo; }; "
      "complete_words kinglet ckpt re; complete_words kinglet ckpt get --ste; complete_words kinglet insp; "
      "complete_words kinglet ckpt get --js; complete_words kinglet inspect my";
  const ProcessResult result = run_process({"/bin/bash", "-c", script});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "[rebase]\n[--step]\n[inspect]\n[--json]\n[my checkpoint.pt]\n");
}

}  // namespace
}  // namespace kinglet
