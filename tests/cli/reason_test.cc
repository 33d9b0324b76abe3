// kinglet reason, verify24 and data game24 from the outside.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/llm/mock_server.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::ProcessResult;
using testing_support::run_kinglet;
using testing_support::slurp;
using testing_support::TemporaryFolder;

TEST(Verify24Command, ChecksAndSolves) {
  EXPECT_EQ(run_kinglet({"verify24", "4 5 6 10", "5 * (10 - 4) - 6"}).exit_code, 0);
  const ProcessResult wrong = run_kinglet({"verify24", "4 5 6 10", "4 * 6"});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.out, HasSubstr("wrong: uses the numbers"));
  EXPECT_THAT(run_kinglet({"verify24", "3 3 8 8"}).out, HasSubstr("= 24"));
  EXPECT_EQ(run_kinglet({"verify24", "1 1 1 1"}).exit_code, 1);
  EXPECT_EQ(run_kinglet({"verify24", "1 2 3"}).exit_code, 2);
}

TEST(ReasonCommand, SolvesAPuzzleAndShowsIt) {
  const TemporaryFolder folder;
  const ProcessResult result = run_kinglet({"--json", "reason", "4 9 10 13", "--task", "game24", "--simulate",
                                            "--trees", "16", "--report", (folder / "page.html").string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto record = nlohmann::json::parse(result.out);
  EXPECT_EQ(record["correct"], true);
  EXPECT_EQ(record["decided_by"], "solved");
  EXPECT_EQ(run_kinglet({"verify24", "4 9 10 13", record["label"].get<std::string>()}).exit_code, 0);
  EXPECT_THAT(slurp(folder / "page.html"), HasSubstr("<svg"));
}

TEST(ReasonCommand, ComparesArmsAndGoesOn) {
  const TemporaryFolder folder;
  std::ofstream data(folder / "data.jsonl");
  for (int i = 0; i < 12; ++i) {
    data << nlohmann::json{{"question", "Question " + std::to_string(i)}, {"answer", "#### " + std::to_string(i)}}
         << "\n";
  }
  data.close();
  const std::vector<std::string> command = {"--json",
                                            "reason",
                                            "--task",
                                            "gsm8k",
                                            "--data",
                                            (folder / "data.jsonl").string(),
                                            "--simulate",
                                            "--arms",
                                            "cot,sc:5,fot-mctsr:2",
                                            "--out",
                                            (folder / "run.jsonl").string()};
  const ProcessResult first = run_kinglet(command);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const auto summary = nlohmann::json::parse(first.out);
  ASSERT_EQ(summary["arms"].size(), 3U);
  EXPECT_EQ(summary["arms"][1]["calls"], 5);
  EXPECT_GE(summary["arms"][1]["coverage"], summary["arms"][1]["accuracy"]);
  const std::string whole = slurp(folder / "run.jsonl");
  std::filesystem::resize_file(folder / "run.jsonl", whole.size() / 2);
  const ProcessResult second = run_kinglet(command);
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_GT(nlohmann::json::parse(second.out)["resumed"], 5);
  EXPECT_EQ(slurp(folder / "run.jsonl").size(), whole.size());
  const ProcessResult read = run_kinglet({"reason", "--read", (folder / "run.jsonl").string()});
  EXPECT_EQ(read.exit_code, 0) << read.err;
  EXPECT_THAT(read.out, HasSubstr("fot-mctsr:2"));
}

TEST(ReasonCommand, RefusesBadUsage) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"reason", "--simulate"},
                                             {"reason", " ", "--simulate"},
                                             {"reason", "q"},
                                             {"reason", "q", "--simulate", "--trees", "0"},
                                             {"reason", "q", "--simulate", "--tau", "0"},
                                             {"reason", "q", "--simulate", "--base", "magic"},
                                             {"reason", "q", "--simulate", "--stop", "sometimes"},
                                             {"reason", "q", "--simulate", "--task", "chess"},
                                             {"reason", "1 2 3", "--simulate", "--task", "game24"},
                                             {"reason", "q", "--base-url", "http://127.0.0.1:1/v1"}}) {
    const ProcessResult result = run_kinglet(arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments.back() << result.out << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

// A mock endpoint whose answers depend on the request alone: every tree has its own seed.
MockOptions numbers() {
  MockOptions options;
  options.latency = std::chrono::milliseconds(5);
  options.script = [](const MockRequest& request, MockPlan plan) {
    plan.tokens = {"#### ", std::to_string(std::stoull(request.id.substr(0, 4), nullptr, 16) % 3)};
    return plan;
  };
  return options;
}

pid_t start_kinglet(const std::vector<std::string>& arguments) {
  const pid_t child = fork();
  if (child != 0) return child;
  const int nowhere = open("/dev/null", O_RDWR);
  for (const int descriptor : {0, 1, 2}) dup2(nowhere, descriptor);
  std::vector<char*> argv = {const_cast<char*>(KINGLET_PROGRAM)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

// Killed at any moment, the run goes on from its record file and its ledger. Only calls that were on their way at that
// moment may be sent again: at most as many as may be in flight.
TEST(ReasonCommand, KilledRunsPayNoCallTwice) {
  const TemporaryFolder folder;
  std::ofstream data(folder / "data.jsonl");
  for (int i = 0; i < 20; ++i)
    data << nlohmann::json{{"question", "Question " + std::to_string(i)}, {"answer", "1"}} << "\n";
  data.close();
  const auto command = [&](const MockServer& server, const std::string& out) {
    return std::vector<std::string>{"--json",          "reason",
                                    "--task",          "gsm8k",
                                    "--data",          (folder / "data.jsonl").string(),
                                    "--trees",         "5",
                                    "--stop",          "none",
                                    "--decision",      "majority",
                                    "--model",         "mock",
                                    "--max-in-flight", "3",
                                    "--out",           (folder / out).string(),
                                    "--base-url",      server.base_url()};
  };
  const MockServer whole_server(numbers());
  ASSERT_EQ(run_kinglet(command(whole_server, "whole.jsonl")).exit_code, 0);
  const std::uint64_t needed = whole_server.statistics().accepted;
  EXPECT_EQ(needed, 100U);

  const MockServer server(numbers());
  int kills = 0;
  for (const std::uint64_t after : {10U, 37U, 71U}) {
    const pid_t child = start_kinglet(command(server, "cut.jsonl"));
    while (server.statistics().accepted < after && waitpid(child, nullptr, WNOHANG) == 0) usleep(1000);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    ++kills;
  }
  const ProcessResult rest = run_kinglet(command(server, "cut.jsonl"));
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_LE(server.statistics().accepted, needed + static_cast<std::uint64_t>(3 * kills));
  const auto lines = [&](const char* name) {
    std::istringstream stream(slurp(folder / name));
    std::set<std::string> records;
    for (std::string line; std::getline(stream, line);) records.insert(line);
    return records;
  };
  EXPECT_EQ(lines("cut.jsonl"), lines("whole.jsonl"));
  // A finished run asks nothing.
  const std::uint64_t accepted = server.statistics().accepted;
  EXPECT_EQ(run_kinglet(command(server, "cut.jsonl")).exit_code, 0);
  EXPECT_EQ(server.statistics().accepted, accepted);
}

TEST(ReasonCommand, StopsWhenTheEndpointRefuses) {
  MockOptions options = numbers();
  options.api_key = "right-key";
  const MockServer server(options);
  setenv("KINGLET_TEST_KEY", "wrong-key", 1);
  const ProcessResult result = run_kinglet(
      {"reason", "How many?", "--model", "mock", "--base-url", server.base_url(), "--key-from", "KINGLET_TEST_KEY"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("401"));
  EXPECT_EQ(result.err.find("wrong-key"), std::string::npos);
}

// No endpoint, no model: the one that is a part of the program answers.
TEST(ReasonCommand, HasAModelOfItsOwnForGame24) {
  const TemporaryFolder folder;
  const ProcessResult result = run_kinglet({"--json", "reason", "2 3 4 6", "--task", "game24", "--trees", "32"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto record = nlohmann::json::parse(result.out);
  EXPECT_EQ(record["correct"], true);
  EXPECT_EQ(run_kinglet({"verify24", "2 3 4 6", record["label"].get<std::string>()}).exit_code, 0);
  const ProcessResult refused = run_kinglet({"reason", "2 3 4 6", "--task", "game24", "--base", "mctsr"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("cannot criticise"));
  EXPECT_EQ(run_kinglet({"reason", "How many?", "--task", "gsm8k"}).exit_code, 2);  // that model knows nothing else
}

TEST(RecipeOfGame24, IsUnderstood) {
  const TemporaryFolder folder;
  ASSERT_EQ(run_kinglet({"data", "game24", "--out", (folder / "game24").string(), "--orders", "1"}).exit_code, 0);
  std::filesystem::create_directories(folder / "recipes");
  std::filesystem::copy_file(KINGLET_SOURCE_DIR "/recipes/game24.toml", folder / "recipes" / "game24.toml");
  const std::string recipe = (folder / "recipes" / "game24.toml").string();
  const ProcessResult result = run_kinglet({"train", recipe, "--dry-run", "--out", (folder / "run").string()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST(DataCommand, MakesGame24Data) {
  const TemporaryFolder folder;
  const ProcessResult result = run_kinglet({"data", "game24", "--out", (folder / "game24").string(), "--orders", "1"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(std::filesystem::exists(folder / "game24" / "test.txt"));
  EXPECT_EQ(run_kinglet({"data", "inspect", (folder / "game24" / "train.jsonl").string()}).exit_code, 0);
}

}  // namespace
}  // namespace kinglet
