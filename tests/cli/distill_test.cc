// kinglet distill: run folders of several methods, resuming, users' mistakes.
#include <nlohmann/json.hpp>

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
using testing_support::slurp;
using testing_support::TemporaryFolder;

std::string questions(std::uint64_t seed, int count) {
  constexpr std::array kWords = {"stone", "house", "river", "cloud"};
  Rng rng(seed);
  std::string lines;
  for (int i = 0; i < count; ++i) {
    const std::string word = kWords[rng.below(4)];
    lines += json({{"instruction", "Say " + word}, {"input", ""}, {"output", "It is the old " + word + " of " + word}})
                 .dump() +
             "\n";
  }
  return lines;
}

constexpr const char* kTeacher = R"(
[data]
train = ["train.jsonl"]
tokens = 64
packing = "best-fit"
[tokenizer]
vocabulary_size = 290
[model]
hidden_size = 24
num_layers = 1
num_heads = 2
max_positions = 128
[training]
steps = 30
batch = 4
[optimizer]
lr = 1e-2
)";

constexpr const char* kRecipe = R"(
[teacher]
from = "teacher/model"
[student]
hidden_size = 16
num_layers = 1
num_heads = 2
max_positions = 128
[data]
train = ["train.jsonl"]
validation = ["validation.jsonl"]
longest_prompt = 40
longest = 64
[sequences]
threshold = 0.6
buffer = 8
[training]
steps = 8
batch = 4
log_every = 1
[optimizer]
lr = 1e-2
[evaluation]
every = 4
answers = 4
[checkpoints]
every = 2
)";

class Distill : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    put(*folder_ / "train.jsonl", questions(1, 60));
    put(*folder_ / "validation.jsonl", questions(2, 8));
    put(*folder_ / "teacher.toml", kTeacher);
    put(*folder_ / "distill.toml", kRecipe);
    const ProcessResult result =
        run_kinglet({"train", file("teacher.toml").string(), "--out", file("teacher").string(), "--threads", "1"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  static void TearDownTestSuite() { folder_.reset(); }
  static fs::path file(const std::string& name) { return *folder_ / name; }

  static ProcessResult distill(const std::string& run, const std::vector<std::string>& sets = {},
                               const std::string& recipe = "distill.toml") {
    std::vector<std::string> arguments = {"distill", file(recipe).string(), "--out", file(run).string(),
                                          "--json",  "--threads",           "1"};
    for (const std::string& set : sets) arguments.insert(arguments.end(), {"--set", set});
    return run_kinglet(arguments);
  }
  static std::unique_ptr<TemporaryFolder> folder_;
};
std::unique_ptr<TemporaryFolder> Distill::folder_;

TEST_F(Distill, MakesARunFolder) {
  const ProcessResult result = distill("mgsr");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json summary = json::parse(result.out);
  EXPECT_EQ(summary["method"], "mgsr");
  EXPECT_EQ(summary["steps"], 8);
  EXPECT_GT(summary["eval_divergence"].get<double>(), 0);
  EXPECT_TRUE(summary["rouge_l"].is_number());
  for (const char* name :
       {"recipe.toml", "metrics.jsonl", "loss.svg", "model/model.safetensors", "model/tokenizer.json",
        "best/config.json", "checkpoints/checkpoint-8/distillation.safetensors", "answers.jsonl"}) {
    EXPECT_TRUE(fs::exists(file("mgsr") / name)) << name;
  }
  bool revised = false;
  for (const MetricsLine& line : read_metrics(file("mgsr") / "metrics.jsonl"))
    revised = revised || line.value("revised");
  EXPECT_TRUE(revised);

  // Again: nothing is left to do, and the numbers are the same.
  const ProcessResult again = distill("mgsr");
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(json::parse(again.out)["first_step"], 8);
  EXPECT_EQ(json::parse(again.out)["rouge_l"], summary["rouge_l"]);
}

TEST_F(Distill, GoesOnFromTheStudentOfAnotherRunWithACacheAndNoTeacher) {
  const std::vector<std::string> sets = {"method=kd", "teacher.cache=" + file("logits").string(),
                                         "teacher.cache_top_k=40"};
  const ProcessResult first = distill("kd", sets);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_GT(json::parse(first.out)["cache_bytes"].get<int>(), 1000);
  std::string recipe = slurp(file("distill.toml"));
  recipe.replace(recipe.find("from = \"teacher/model\""), 22, "");
  recipe.insert(recipe.find("hidden_size = 16"), "tokenizer = \"teacher/model\"\n");
  put(file("alone.toml"), recipe);
  const ProcessResult second = distill("alone", sets, "alone.toml");
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(json::parse(second.out)["teacher_parameters"], 0);
  EXPECT_EQ(json::parse(second.out)["eval_loss"], json::parse(first.out)["eval_loss"]);
}

TEST_F(Distill, PrintsItsRecipe) {
  const ProcessResult result =
      run_kinglet({"distill", file("distill.toml").string(), "--print-recipe", "--set", "method=gkd"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("method = \"gkd\""), HasSubstr("kind = \"jsd\""), HasSubstr("keep_floor = 0.9")));
}

void expect_refused(const ProcessResult& result, const std::string& text) {
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, HasSubstr(text));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST_F(Distill, RefusesMistakes) {
  expect_refused(distill("x1", {"method=kld"}), "method");
  expect_refused(distill("x2", {"loss.dak=1"}), "dac");
  expect_refused(distill("x3", {"data.longest=400"}), "positions");
  expect_refused(distill("x4", {"teacher.from=nowhere"}), "nowhere");
  expect_refused(distill("x5", {"data.longest_prompt=2"}), "no example is left");
  expect_refused(distill("x6", {"method=kd", "scrg.rounds=1"}), "the student writes nothing");
}

TEST_F(Distill, RefusesAnotherTokenizer) {
  put(file("other.jsonl"), "{\"text\": \"zebra quartz zebra quartz zebra quartz vex vex\"}\n");
  const ProcessResult made =
      run_kinglet({"train", file("teacher.toml").string(), "--out", file("other").string(), "--set",
                   "data.train=[\"" + file("other.jsonl").string() + "\"]", "--set", "data.packing=concatenate",
                   "--set", "data.tokens=4", "--set", "training.steps=1", "--set", "tokenizer.vocabulary_size=260"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  std::string recipe = slurp(file("distill.toml"));
  recipe.replace(recipe.find("hidden_size = 16\nnum_layers = 1\nnum_heads = 2\nmax_positions = 128\n"), 66,
                 "from = \"other/model\"\n");
  put(file("mixed.toml"), recipe);
  expect_refused(distill("x7", {}, "mixed.toml"), "different tokenizers");
}

}  // namespace
}  // namespace kinglet
