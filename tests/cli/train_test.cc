// kinglet train: run folders, exact resuming of killed runs, users' mistakes.
#include <chrono>
#include <cmath>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/rng.h"
#include "kinglet/io/metrics.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing_support::ProcessResult;
using testing_support::put;
using testing_support::run_kinglet;
using testing_support::run_process;
using testing_support::slurp;
using testing_support::TemporaryFolder;

std::string sentences(std::uint64_t seed, int count) {
  constexpr std::array kWords = {"a", "small", "model", "learns", "the", "words", "of", "its", "book", "slowly"};
  Rng rng(seed);
  std::string lines;
  for (int i = 0; i < count; ++i) {
    std::string text;
    for (std::uint64_t word = 0; word < 5 + rng.below(20); ++word) text += std::string(kWords[rng.below(10)]) + " ";
    lines += json({{"text", text}}).dump() + "\n";
  }
  return lines;
}

constexpr const char* kTrainRecipe = R"(
seed = 3
[data]
train = ["train.jsonl"]
validation = ["validation.jsonl"]
tokens = 16
[tokenizer]
vocabulary_size = 280
[model]
hidden_size = 16
num_layers = 1
num_heads = 2
max_positions = 256
[training]
steps = 40
batch = 2
log_every = 1
[optimizer]
lr = 1e-2
[evaluation]
every = 10
[checkpoints]
every = 4
)";

class Train : public testing::Test {
 protected:
  void SetUp() override {
    put(folder_ / "train.jsonl", sentences(1, 60));
    put(folder_ / "validation.jsonl", sentences(2, 10));
    put(folder_ / "tiny.toml", kTrainRecipe);
  }
  fs::path file(const std::string& name) const { return folder_ / name; }

  std::vector<std::string> command(const std::string& run, const std::vector<std::string>& sets = {}) const {
    std::vector<std::string> arguments = {"train", file("tiny.toml").string(), "--out", file(run).string(), "--threads",
                                          "1"};
    for (const std::string& set : sets) arguments.insert(arguments.end(), {"--set", set});
    return arguments;
  }
  ProcessResult train(const std::string& run, const std::vector<std::string>& sets = {}) const {
    return run_kinglet(command(run, sets));
  }

  // step -> text of the numbers that must come out the same whenever they are made.
  std::map<std::int64_t, std::string> losses(const std::string& run) const {
    std::map<std::int64_t, std::string> result;
    for (const MetricsLine& line : read_metrics(file(run) / "metrics.jsonl")) {
      for (const auto& [name, value] : line.values) {
        if (name != "tokens_per_second") result[line.step] += fmt::format("{} {:a} ", name, value);
      }
    }
    return result;
  }

  TemporaryFolder folder_;
};

void expect_refused(const ProcessResult& result, int exit_code, const std::string& text) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_THAT(result.err, HasSubstr(text));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST_F(Train, MakesARunFolder) {
  const ProcessResult result = train("run", {"checkpoints.keep=3"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("vocabulary 280"), HasSubstr("40 in"), HasSubstr("validation")));
  for (const char* name : {"recipe.toml", "metrics.jsonl", "loss.svg", "tokenizer/tokenizer.json", "data/train.tokens",
                           "model/model.safetensors", "model/config.json", "model/tokenizer.json",
                           "best/model.safetensors", "checkpoints/checkpoint-40/optimizer.pt"}) {
    EXPECT_TRUE(fs::exists(file("run") / name)) << name;
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(file("run") / "checkpoints"), fs::directory_iterator()), 3);
  EXPECT_EQ(std::distance(fs::directory_iterator(file("run") / "tensorboard"), fs::directory_iterator()), 1);
  const auto lines = read_metrics(file("run") / "metrics.jsonl");
  ASSERT_EQ(lines.size(), 44U);  // 40 steps, 4 evaluations
  EXPECT_LT(*lines.back().value("eval_loss"), *lines.front().value("loss"));
  const json config = json::parse(slurp(file("run") / "model" / "config.json"));
  EXPECT_EQ(config["vocab_size"], 280);
  EXPECT_EQ(config["eos_token_id"], 0);

  // Again: nothing is left to do.
  const ProcessResult again = run_kinglet([&] {
    auto arguments = command("run", {"checkpoints.keep=3"});
    arguments.emplace_back("--json");
    return arguments;
  }());
  ASSERT_EQ(again.exit_code, 0) << again.err;
  const json summary = json::parse(again.out);
  EXPECT_EQ(summary["first_step"], 40);
  EXPECT_EQ(summary["steps"], 40);
  EXPECT_EQ(read_metrics(file("run") / "metrics.jsonl").size(), 44U);
}

pid_t start(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {}) {
  const pid_t child = fork();
  if (child != 0) return child;
  for (const char* stream : {"stdout", "stderr"}) {
    if (std::freopen("/dev/null", "w", std::string(stream) == "stdout" ? stdout : stderr) == nullptr) _exit(127);
  }
  std::vector<char*> argv = {const_cast<char*>(KINGLET_PROGRAM)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  for (const std::string& variable : environment) putenv(const_cast<char*>(variable.c_str()));
  execv(argv[0], argv.data());
  _exit(127);
}

int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::size_t lines_in(const fs::path& path) {
  const std::string text = slurp(path);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// Kills the child when the file has so many lines; the exit code.
int kill_at(pid_t child, const fs::path& path, std::size_t lines, int signal) {
  for (int status = 0; lines_in(path) < lines;) {
    if (waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(child, signal);
  return wait_for(child);
}

struct Interruption {
  const char* sink;
  int signal;
};
class KilledTrain : public Train, public testing::WithParamInterface<Interruption> {};

TEST_P(KilledTrain, GoesOnToTheLastBit) {
  const Interruption& how = GetParam();
  const std::vector<std::string> sets = {fmt::format("checkpoints.kind={}", how.sink)};
  std::vector<std::string> all = sets;
  if (std::string(how.sink) == "excp") all.emplace_back("checkpoints.lossless=true");
  ASSERT_EQ(train("whole", all).exit_code, 0);
  int code = -1, kills = 0;
  for (const std::size_t lines : {7, 19, 33}) {
    code = kill_at(start(command("killed", all)), file("killed") / "metrics.jsonl", lines, how.signal);
    ASSERT_TRUE(code == 0 || code == (how.signal == SIGKILL ? 128 + SIGKILL : 130)) << code;
    kills += code != 0 ? 1 : 0;
  }
  EXPECT_GE(kills, 2);
  const ProcessResult last = train("killed", all);
  ASSERT_EQ(last.exit_code, 0) << last.err;
  EXPECT_EQ(losses("killed"), losses("whole"));
  for (const char* model : {"model", "best"}) {
    EXPECT_EQ(slurp(file("killed") / model / "model.safetensors"), slurp(file("whole") / model / "model.safetensors"));
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, KilledTrain,
                         testing::Values(Interruption{"plain", SIGKILL}, Interruption{"plain", SIGINT},
                                         Interruption{"excp", SIGKILL}),
                         [](const auto& test) { return fmt::format("{}_{}", test.param.sink, test.param.signal); });

TEST_F(Train, TwoProcessesShareARun) {
  std::vector<pid_t> children;
  for (int rank = 0; rank < 2; ++rank) {
    children.push_back(start(command("both", {"training.batch=1"}),
                             {"WORLD_SIZE=2", fmt::format("RANK={}", rank), "MASTER_PORT=29731"}));
  }
  std::vector<int> codes;
  for (const pid_t child : children) codes.push_back(wait_for(child));
  if (codes[0] != 0 && !fs::exists(file("both"))) GTEST_SKIP() << "this build has no Gloo";
  EXPECT_THAT(codes, testing::Each(0));
  ASSERT_EQ(train("alone", {"training.batch=1", "training.accumulation=2"}).exit_code, 0);
  // Their evaluations are alike too, so the best models are the same.
  EXPECT_EQ(losses("both"), losses("alone"));
}

TEST_F(Train, FineTunesAModelWithItsTokenizer) {
  ASSERT_EQ(train("first").exit_code, 0);
  put(file("chat.jsonl"), R"({"instruction": "What is it?", "input": "", "output": "a small model"}
{"instruction": "What is that?", "input": "the book", "output": "words of the book"}
)");
  put(file("fine.toml"), R"(
data.train = "chat.jsonl"
data.packing = "best-fit"
data.tokens = 200
model.from = "first/model"
training = { epochs = 8.0, batch = 1, log_every = 1 }
optimizer.lr = 3e-3
)");
  const ProcessResult result = run_kinglet({"train", file("fine.toml").string(), "--out", file("second").string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto lines = read_metrics(file("second") / "metrics.jsonl");
  ASSERT_GE(lines.size(), 4U);
  EXPECT_LT(*lines.back().value("loss"), *lines.front().value("loss"));
  EXPECT_EQ(slurp(file("second") / "model" / "tokenizer.json"), slurp(file("first") / "model" / "tokenizer.json"));
}

TEST_F(Train, EndsWhenPatienceDoes) {
  // A rate that moves nothing: only the first evaluation is a best one.
  ASSERT_EQ(train("run", {"optimizer.lr=1e-30", "evaluation.patience=2"}).exit_code, 0);
  const auto lines = read_metrics(file("run") / "metrics.jsonl");
  EXPECT_EQ(lines.back().step, 30);
  ASSERT_EQ(train("run", {"optimizer.lr=1e-30", "evaluation.patience=2"}).exit_code, 0);
  EXPECT_EQ(read_metrics(file("run") / "metrics.jsonl").size(), lines.size());
}

// ---- mistakes --------------------------------------------------------------------------------------------------

TEST_F(Train, RefusesARecipeThatIsWrong) {
  expect_refused(train("run", {"optimizer.lrr=1"}), 2, "unknown key 'lrr' in [optimizer] (did you mean 'lr'?)");
  expect_refused(train("run", {"training.steps=0"}), 2, "training.steps");
  expect_refused(train("run", {"model.num_heads=3"}), 2, "no multiple of num_heads");
  expect_refused(train("run", {"model.kind=forest"}), 2, "model.kind");
  expect_refused(train("run", {"schedule.warm_up_steps=50"}), 2, "warm-up");
  expect_refused(train("run", {"tokenizer.path=none.json"}), 2, "vocabulary_size");
  EXPECT_FALSE(fs::exists(file("run")));
  expect_refused(train("run", {"data.train=none.jsonl"}), 2, "none.jsonl");
  put(file("full") / "other", "x");
  expect_refused(train("full"), 2, "holds something that is no run");
}

TEST_F(Train, NoticesThatTheRecipeHasChanged) {
  ASSERT_EQ(train("run").exit_code, 0);
  expect_refused(train("run", {"optimizer.lr=2e-2"}), 2, "optimizer.lr was 0.01 and is 0.02");
  expect_refused(train("run", {"seed=4"}), 2, "begin a new run");
  EXPECT_EQ(train("run", {"evaluation.every=5"}).exit_code, 0);
  auto longer = command("run", {"training.steps=44"});
  longer.emplace_back("--allow-changes");
  EXPECT_EQ(run_kinglet(longer).exit_code, 0);
  EXPECT_EQ(read_metrics(file("run") / "metrics.jsonl").back().step, 44);
}

TEST_F(Train, NoticesThatTheDataHasChanged) {
  ASSERT_EQ(train("run").exit_code, 0);
  put(file("train.jsonl"), sentences(9, 60));
  expect_refused(train("run"), 2, "data has changed since the run began");
}

TEST_F(Train, RefusesATokenizerLargerThanTheEmbedding) {
  expect_refused(train("run", {"model.vocabulary_size=279"}), 2, "the tokenizer has 280 tokens");
}

TEST_F(Train, ARefusedFirstTryBindsOnlyTheData) {
  expect_refused(train("run", {"model.vocabulary_size=279"}), 2, "the tokenizer has 280 tokens");
  expect_refused(train("run", {"seed=4"}), 2, "seed was 3 and is 4");
  expect_refused(train("run", {"tokenizer.vocabulary_size=290"}), 2, "tokenizer.vocabulary_size was 280 and is 290");
  EXPECT_EQ(train("run", {"optimizer.lr=2e-2"}).exit_code, 0);
  expect_refused(train("run"), 2, "optimizer.lr was 0.02 and is 0.01");
}

TEST_F(Train, StopsAtALossThatIsNoNumber) {
  ASSERT_EQ(train("run", {"training.steps=8"}).exit_code, 0);
  auto bad = command("run", {"training.steps=16", "optimizer.lr=1e38", "training.clip=0"});
  bad.emplace_back("--allow-changes");
  const ProcessResult result = run_kinglet(bad);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("step 1"), HasSubstr("the last checkpoint is good")));
  // And so it is.
  auto good = command("run", {"training.steps=16"});
  good.insert(good.end(), {"--allow-changes", "--json"});
  const ProcessResult later = run_kinglet(good);
  ASSERT_EQ(later.exit_code, 0) << later.err;
  EXPECT_EQ(json::parse(later.out)["first_step"], 8);
}

TEST_F(Train, AFullDiskLosesNothing) {
  ASSERT_EQ(train("run", {"training.steps=8"}).exit_code, 0);
  // Files may not grow beyond a few blocks: the next checkpoint cannot be written.
  auto longer = command("run", {"training.steps=16"});
  longer.emplace_back("--allow-changes");
  std::string line = fmt::format("trap '' XFSZ; ulimit -f 40; exec {}", KINGLET_PROGRAM);
  for (const std::string& argument : longer) line += fmt::format(" '{}'", argument);
  const ProcessResult result = run_process({"/bin/bash", "-c", line});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, HasSubstr("cannot write"));
  EXPECT_TRUE(fs::exists(file("run") / "checkpoints" / "checkpoint-8" / "trainer_state.json"));
  EXPECT_FALSE(fs::exists(file("run") / "checkpoints" / "checkpoint-12"));
  longer.emplace_back("--json");
  const ProcessResult later = run_kinglet(longer);
  ASSERT_EQ(later.exit_code, 0) << later.err;
  EXPECT_EQ(json::parse(later.out)["first_step"], 8);
}

TEST_F(Train, OneProcessARun) {
  const pid_t child = start(command("run", {"training.steps=1000000"}));
  while (lines_in(file("run") / "metrics.jsonl") < 3) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const ProcessResult second = train("run", {"training.steps=1000000"});
  kill(child, SIGKILL);
  wait_for(child);
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr(fmt::format("another process (pid {}) is writing to this run", child)));
}

}  // namespace
}  // namespace kinglet
