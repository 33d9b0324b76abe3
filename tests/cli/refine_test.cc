// kinglet refine and kinglet judge against a mock server, killed and started again.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <future>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/chain_model.h"
#include "tests/support/files_in.h"
#include "tests/support/postgres_cluster.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/hash.h"
#include "kinglet/base/rng.h"
#include "kinglet/llm/mock_server.h"
#include "kinglet/llm/postgres_ledger.h"

namespace kinglet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::PostgresCluster;
using testing_support::put;
using testing_support::run_kinglet;
using testing_support::slurp;
using testing_support::TemporaryFolder;

constexpr int kSeeds = 40, kInFlight = 8;

double quality_in(std::string_view text) {
  const std::size_t at = text.find("quality=");
  return at == std::string_view::npos ? 0.5 : std::stod(std::string(text.substr(at + 8, 6)));
}

// Answers carry a quality that depends on the request; the judge reads it.
MockOptions behaviour(std::chrono::milliseconds latency) {
  MockOptions options;
  options.script = [latency](const MockRequest& request, MockPlan plan) {
    plan.latency = latency;
    const std::string& message = request.last_message;
    const std::size_t first = message.find("<answer A"), second = message.find("<answer B");
    if (second != std::string::npos) {
      const double a = quality_in(std::string_view(message).substr(first, second - first));
      const double b = quality_in(std::string_view(message).substr(second));
      plan.tokens = {"I", " say", a > b ? " [[A]]" : a < b ? " [[B]]" : " [[C]]"};
    } else {
      plan.tokens = {"This", " is", fmt::format(" quality={:.4f}", Rng(xxh3(as_bytes(request.id))).uniform())};
    }
    plan.cut_short = false;
    return plan;
  };
  return options;
}

struct World {
  explicit World(std::chrono::milliseconds latency, int in_flight = kInFlight) : server(behaviour(latency)) {
    std::string seeds;
    for (int i = 0; i < kSeeds; ++i) {
      seeds += fmt::format("{{\"instruction\": \"Explain topic {}\", \"output\": \"old {}\"}}\n", i, i);
    }
    put(folder / "seeds.jsonl", seeds);
    std::string recipe =
        "[data]\npath = \"seeds.jsonl\"\n[judge]\nmodel = \"judge\"\n[base]\nfrom = \"one\"\n"
        "[sampling]\nsamples = 3\nbeta = 0.01\n[run]\nwave = 4\n";
    for (const char* name : {"one", "two", "three", "four", "five"}) {
      recipe += fmt::format("[[response_agent]]\nname = \"{}\"\n", name);
    }
    for (const char* name : {"one", "two", "three", "four", "five", "judge"}) {
      recipe += fmt::format(
          "[[model]]\nname = \"{}\"\nbase_url = \"{}\"\nin_flight = {}\nprice_input = 1\nprice_output = 2\n", name,
          server.base_url(), in_flight);
    }
    put(folder / "refine.toml", recipe);
  }

  std::vector<std::string> command(const std::string& out, std::vector<std::string> more = {}) const {
    std::vector<std::string> all{"refine", (folder / "refine.toml").string(), "--out", (folder / out).string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  TemporaryFolder folder;
  MockServer server;
};

// Starts the program and kills it when the server has accepted so many calls more, or when it has ended.
void run_and_kill(std::vector<std::string> arguments, const MockServer& server, std::uint64_t calls) {
  const std::uint64_t goal = server.statistics().accepted + calls;
  arguments.insert(arguments.begin(), KINGLET_PROGRAM);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(open("/dev/null", O_RDWR), STDOUT_FILENO);
    dup2(STDOUT_FILENO, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  while (server.statistics().accepted < goal) {
    if (waitpid(child, nullptr, WNOHANG) == child) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST(Refine, KeepsOneAnswerASeedAndSaysWhatItDid) {
  const World world(std::chrono::milliseconds(0));
  const auto result = run_kinglet(world.command("run", {"--json"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto summary = nlohmann::json::parse(result.out);
  EXPECT_EQ(summary["seeds"], kSeeds);
  EXPECT_EQ(summary["replayed"], 0);
  EXPECT_EQ(world.server.statistics().accepted, summary["calls"].get<std::uint64_t>());
  std::istringstream lines(slurp(world.folder / "run/refined.jsonl"));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto record = nlohmann::json::parse(line);
    EXPECT_EQ(record["instruction"], fmt::format("Explain topic {}", count));
    EXPECT_THAT(record["output"].get<std::string>(), HasSubstr("quality="));
    EXPECT_TRUE(record["provenance"].contains("source"));
  }
  EXPECT_EQ(count, kSeeds);
  EXPECT_THAT(slurp(world.folder / "run/report.html"), AllOf(HasSubstr("<svg"), HasSubstr("Explain topic")));
  EXPECT_THAT(slurp(world.folder / "run/p_history.csv"), HasSubstr("seeds,two,three,four,five"));

  // Once more: everything comes from the ledger, to the same bytes.
  const std::string refined = slurp(world.folder / "run/refined.jsonl"),
                    candidates = slurp(world.folder / "run/candidates.jsonl");
  const auto again = run_kinglet(world.command("run", {"--json"}));
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(nlohmann::json::parse(again.out)["requests"], 0);
  EXPECT_EQ(slurp(world.folder / "run/refined.jsonl"), refined);
  EXPECT_EQ(slurp(world.folder / "run/candidates.jsonl"), candidates);
  EXPECT_EQ(world.server.statistics().accepted, summary["calls"].get<std::uint64_t>());
}

TEST(Refine, KilledAndStartedAgainItPaysForNothingTwice) {
  const World world(std::chrono::milliseconds(15));
  ASSERT_EQ(run_kinglet(world.command("whole")).exit_code, 0);
  const std::uint64_t once = world.server.statistics().accepted;
  Rng rng(3);
  constexpr int kKills = 8;
  for (int i = 0; i < kKills; ++i) {
    run_and_kill(world.command("killed"), world.server, 5 + rng.below(50));
  }
  const auto result = run_kinglet(world.command("killed", {"--json"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_GT(nlohmann::json::parse(result.out)["replayed"].get<int>(), 0);
  for (const char* file : {"refined.jsonl", "candidates.jsonl", "p_history.csv", "summary.json"}) {
    EXPECT_EQ(slurp(world.folder / "killed" / file), slurp(world.folder / "whole" / file)) << file;
  }
  // Only what was under way at a kill may have been sent twice: two waves of four seeds, each with four answers.
  const std::uint64_t more = world.server.statistics().accepted - 2 * once;
  EXPECT_LE(more, static_cast<std::uint64_t>(kKills) * 2 * 4 * 4);
}

TEST(Refine, ADryRunCallsNothing) {
  const World world(std::chrono::milliseconds(0));
  const auto result = run_kinglet(world.command("run", {"--dry-run", "--json"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto plan = nlohmann::json::parse(result.out);
  EXPECT_EQ(plan["calls"], kSeeds * (3 + 1 + 2 * 3));
  EXPECT_GT(plan["money"].get<double>(), 0);
  const auto brief = run_kinglet(world.command("run", {"--dry-run", "--json", "--set", "judge.max_tokens=2"}));
  EXPECT_LT(nlohmann::json::parse(brief.out)["money"], plan["money"]);
  EXPECT_EQ(world.server.statistics().requests, 0U);
  EXPECT_FALSE(std::filesystem::exists(world.folder / "run"));
}

TEST(Refine, ABudgetStopsItAndMoreMoneyLetsItGoOn) {
  const World world(std::chrono::milliseconds(0));
  const auto stopped = run_kinglet(world.command("run", {"--set", "budget.requests=60"}));
  EXPECT_EQ(stopped.exit_code, 1);
  EXPECT_THAT(stopped.err, HasSubstr("start the same command again"));
  EXPECT_LE(world.server.statistics().accepted, 60U);
  EXPECT_FALSE(std::filesystem::exists(world.folder / "run/refined.jsonl"));
  const auto result = run_kinglet(world.command("run"));
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST(Refine, RefusesOtherSettingsInTheSameFolder) {
  const World world(std::chrono::milliseconds(0));
  ASSERT_EQ(run_kinglet(world.command("run")).exit_code, 0);
  EXPECT_EQ(run_kinglet(world.command("run", {"--set", "sampling.beta=0.02"})).exit_code, 2);
  EXPECT_EQ(run_kinglet(world.command("run", {"--set", "run.wave=5"})).exit_code, 2);
  EXPECT_EQ(run_kinglet(world.command("run", {"--set", "output.provenance=false"})).exit_code, 0);
}

TEST(Refine, BadRecipesAreOneLineAndExitCodeTwo) {
  const World world(std::chrono::milliseconds(0));
  for (const char* wrong : {"sampling.samples=9", "sampling.beta=0", "base.from=nobody", "judge.model=nobody",
                            "data.path=none.jsonl", "run.waves=3", "fit.by=dual"}) {
    const auto result = run_kinglet(world.command("run", {"--set", wrong}));
    EXPECT_EQ(result.exit_code, 2) << wrong << ": " << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
  EXPECT_EQ(world.server.statistics().requests, 0U);
}

// One job on several machines, so to speak: two processes and a PostgreSQL server.
class RefineJob : public testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    cluster_ = PostgresCluster::shared(reason);
    if (cluster_ == nullptr) GTEST_SKIP() << reason;
  }
  static std::string job() { return testing::UnitTest::GetInstance()->current_test_info()->name(); }
  std::vector<std::string> in_job(const std::string& url, std::vector<std::string> more = {"--json"}) const {
    std::vector<std::string> all{"--set", "job.database=" + url, "--set", "job.name=" + job()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  const PostgresCluster* cluster_ = nullptr;
};

void expect_same_files(const World& world, const char* one, const char* other) {
  for (const char* file : {"refined.jsonl", "candidates.jsonl", "p_history.csv", "summary.json"}) {
    EXPECT_FALSE(slurp(world.folder / one / file).empty()) << one << " " << file;
    EXPECT_EQ(slurp(world.folder / one / file), slurp(world.folder / other / file)) << one << " " << file;
  }
}

TEST_F(RefineJob, TwoProcessesDivideTheCallsAndWriteTheSame) {
  const World world(std::chrono::milliseconds(15), 2);  // more calls than one may have under way
  ASSERT_EQ(run_kinglet(world.command("alone")).exit_code, 0);
  const std::uint64_t once = world.server.statistics().accepted;
  auto other =
      std::async(std::launch::async, [&] { return run_kinglet(world.command("other", in_job(cluster_->url()))); });
  const auto result = run_kinglet(world.command("one", in_job(cluster_->url())));
  const auto result_of_other = other.get();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  ASSERT_EQ(result_of_other.exit_code, 0) << result_of_other.err;
  expect_same_files(world, "one", "alone");
  expect_same_files(world, "other", "alone");
  EXPECT_EQ(world.server.statistics().accepted, 2 * once);  // no call was sent twice
  const auto requests = [](const auto& process) {
    return nlohmann::json::parse(process.out)["requests"].template get<std::uint64_t>();
  };
  EXPECT_EQ(requests(result) + requests(result_of_other), once);
  EXPECT_GT(std::min(requests(result), requests(result_of_other)), once / 5);
  std::cout << fmt::format("[ measured ] {} calls: {} by one, {} by the other\n", once, requests(result),
                           requests(result_of_other));
}

TEST_F(RefineJob, AKilledWorkerLosesNothing) {
  const World world(std::chrono::milliseconds(15), 2);
  ASSERT_EQ(run_kinglet(world.command("alone")).exit_code, 0);
  const std::uint64_t once = world.server.statistics().accepted;
  auto other =
      std::async(std::launch::async, [&] { return run_kinglet(world.command("other", in_job(cluster_->url()))); });
  run_and_kill(world.command("killed", in_job(cluster_->url())), world.server, once / 3);
  const auto result = other.get();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_same_files(world, "other", "alone");
  EXPECT_FALSE(std::filesystem::exists(world.folder / "killed/refined.jsonl"));
  const LedgerSummary summary = PostgresLedger(cluster_->url(), job()).summary();
  EXPECT_EQ(summary.answered, static_cast<std::int64_t>(once));
  EXPECT_EQ(summary.in_doubt + summary.failed, 0);
  // What the dead one had under way came again, marked: at most two calls of each of six models.
  EXPECT_LE(summary.resent_in_doubt, 2 * 6);
  EXPECT_EQ(summary.attempts, summary.answered + summary.resent_in_doubt);
  const auto accepted = static_cast<std::int64_t>(world.server.statistics().accepted - once);
  EXPECT_GE(accepted, summary.answered);
  EXPECT_LE(accepted, summary.attempts);  // a request may die before the server has it
  std::cout << fmt::format("[ measured ] {} calls, {} sent again in doubt\n", once, summary.resent_in_doubt);

  // Started again the dead one finds everything there.
  const auto again = run_kinglet(world.command("killed", in_job(cluster_->url())));
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(nlohmann::json::parse(again.out)["requests"], 0);
  expect_same_files(world, "killed", "alone");
}

TEST_F(RefineJob, IsRefusedInOneLine) {
  const World world(std::chrono::milliseconds(0));
  const auto refused = [&](const std::string& url, int exit_code, const std::string& words,
                           const std::string& more = "sampling.samples=3") {
    const auto result = run_kinglet(world.command("run", in_job(url, {"--set", more})));
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr(words), testing::Not(HasSubstr("secret-word"))));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  refused("postgresql://u@/db?host=/nowhere", 1, "server is running");
  refused("postgresql://u:secret-word@/db", 2, "PGPASSWORD");
  setenv("PGPASSWORD", "secret-word", 1);
  refused(cluster_->url("postgres", "secured"), 2, "password");
  unsetenv("PGPASSWORD");
  refused(cluster_->url(), 2, "no name", "job.name=a b");
  EXPECT_EQ(world.server.statistics().requests, 0U);
  ASSERT_EQ(run_kinglet(world.command("run", in_job(cluster_->url()))).exit_code, 0);
  refused(cluster_->url(), 2, "another configuration", "run.wave=3");
}

// A model of this machine in place of an endpoint.
struct LocalWorld {
  LocalWorld() {
    testing_support::ChainModel().write_folder(folder / "chain");
    put(folder / "chat.jinja", "{{ messages[-1].content }}");
    std::string seeds;
    for (const char letter : {'a', 'b', 'c', 'd', 'e', 'f'}) {
      seeds += fmt::format("{{\"instruction\": \"{}\", \"output\": \"old\"}}\n", letter);
    }
    put(folder / "seeds.jsonl", seeds);
    put(folder / "refine.toml",
        "[data]\npath = \"seeds.jsonl\"\n[fit]\nby = \"none\"\n[sampling]\nsamples = 2\nretrieved = 0\n"
        "[[response_agent]]\nname = \"plain\"\nmodel = \"chain\"\ntemperature = 0.0\nmax_tokens = 4\n"
        "[[response_agent]]\nname = \"twice\"\nmodel = \"chain\"\ntemperature = 0.0\nmax_tokens = 9\nstop = [\"h\"]\n"
        "prompt = \"{instruction}{instruction}\"\n"
        "[[model]]\nname = \"chain\"\npath = \"chain\"\nchat_template = \"chat.jinja\"\n");
  }
  std::vector<std::string> command(std::vector<std::string> more = {}) const {
    std::vector<std::string> all{"--json", "refine", (folder / "refine.toml").string(), "--out",
                                 (folder / "run").string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  TemporaryFolder folder;
};

TEST(Refine, AgentsMayBeModelsOfThisMachine) {
  const LocalWorld world;
  const auto first = run_kinglet(world.command());
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const auto summary = nlohmann::json::parse(first.out);
  EXPECT_EQ(summary["calls"], 12);  // two agents, six seeds
  EXPECT_EQ(summary["requests"], 12);
  EXPECT_EQ(summary["replayed"], 0);
  const std::string candidates = slurp(world.folder / "run/candidates.jsonl");
  EXPECT_THAT(candidates, HasSubstr("\"bcde\""));    // behind "a", cut off
  EXPECT_THAT(candidates, HasSubstr("\"bcdefg\""));  // behind "aa", to the text that ends it
  // Once more: every reply is there, none is computed again, and the result is the same.
  const auto again = run_kinglet(world.command());
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(nlohmann::json::parse(again.out)["replayed"], 12);
  EXPECT_EQ(nlohmann::json::parse(again.out)["requests"], 0);
  EXPECT_EQ(slurp(world.folder / "run/candidates.jsonl"), candidates);
}

// Two names of one model, with limits of their own: answers as from one name.
TEST(Refine, NamesMayShareAModelOfThisMachine) {
  const LocalWorld world;
  ASSERT_EQ(run_kinglet(world.command()).exit_code, 0);
  std::string candidates = slurp(world.folder / "run/candidates.jsonl");
  std::string recipe = slurp(world.folder / "refine.toml");
  recipe.replace(recipe.find("model = \"chain\"\ntemperature = 0.0\nmax_tokens = 9"), 15, "model = \"other\"");
  recipe += "[[model]]\nname = \"other\"\npath = \"chain\"\nchat_template = \"chat.jinja\"\nin_flight = 2\n";
  put(world.folder / "refine.toml", recipe);
  std::filesystem::remove_all(world.folder / "run");
  const auto shared = run_kinglet(world.command());
  ASSERT_EQ(shared.exit_code, 0) << shared.err;
  const std::string others = slurp(world.folder / "run/candidates.jsonl");
  EXPECT_THAT(others, HasSubstr("\"bcde\""));
  EXPECT_THAT(others, HasSubstr("\"bcdefg\""));
  EXPECT_EQ(others.size(), candidates.size());
}

TEST(Refine, ModelsOfThisMachineAreChecked) {
  const LocalWorld world;
  const auto refused = [&](const std::string& recipe, const std::string& words) {
    const std::string whole = slurp(world.folder / "refine.toml");
    put(world.folder / "refine.toml", whole.substr(0, whole.find("[[model]]")) + recipe);
    const auto result = run_kinglet(world.command());
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(words));
    put(world.folder / "refine.toml", whole);
  };
  refused("[[model]]\nname = \"chain\"\npath = \"nowhere\"\n", "nowhere");
  refused("[[model]]\nname = \"chain\"\npath = \"chain\"\nbase_url = \"http://127.0.0.1:1/v1\"\n", "base_url");
  refused("[[model]]\nname = \"chain\"\npath = \"chain\"\ndtype = \"int4\"\n", "dtype");
  refused("[[model]]\nname = \"chain\"\npath = \"chain\"\n", "chat template");
  refused("[[model]]\nname = \"chain\"\n", "base_url");
  const auto empty = run_kinglet(world.command({"--set", "judge.model=chain", "--set", "judge.stop=[\"\"]"}));
  EXPECT_EQ(empty.exit_code, 2);
  EXPECT_THAT(empty.err, HasSubstr("stop"));
  const auto estimate = run_kinglet(world.command({"--dry-run"}));
  EXPECT_EQ(nlohmann::json::parse(estimate.out)["money"], 0);
}

TEST(Judge, ComparesTwoFiles) {
  const World world(std::chrono::milliseconds(0));
  std::string better, worse;
  for (int i = 0; i < 10; ++i) {
    better += fmt::format("{{\"instruction\": \"q {}\", \"output\": \"quality=0.9{}\"}}\n", i, i);
    worse += fmt::format("{{\"instruction\": \"q {}\", \"output\": \"quality=0.1{}\"}}\n", i, i);
  }
  put(world.folder / "better.jsonl", better);
  put(world.folder / "worse.jsonl", worse);
  const auto result = run_kinglet(
      {"judge", (world.folder / "worse.jsonl").string(), (world.folder / "better.jsonl").string(), "--model", "judge",
       "--base-url", world.server.base_url(), "--out", (world.folder / "verdicts.jsonl").string(), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out)["wins"], 10);
  EXPECT_EQ(world.server.statistics().accepted, 20U);
  EXPECT_THAT(slurp(world.folder / "verdicts.jsonl"), HasSubstr("\"score\":1.0"));
}

}  // namespace
}  // namespace kinglet
