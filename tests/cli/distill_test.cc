// kinglet distill: run folders of several methods, resuming, users' mistakes.
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/distill_recipes.h"
#include "tests/support/files_in.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/io/metrics.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing_support::kSmallDistillation;
using testing_support::kSmallStudent;
using testing_support::kSmallTeacher;
using testing_support::ProcessResult;
using testing_support::put;
using testing_support::run_kinglet;
using testing_support::TemporaryFolder;
using testing_support::word_questions;

class Distill : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    put(*folder_ / "train.jsonl", word_questions(1, 60));
    put(*folder_ / "validation.jsonl", word_questions(2, 8));
    put(*folder_ / "teacher.toml", kSmallTeacher);
    put(*folder_ / "distill.toml", kSmallDistillation);
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

TEST_F(Distill, KeepsItsCheckpointsInAStore) {
  const std::vector<std::string> sets = {"checkpoints.kind=excp", "checkpoints.lossless=true"};
  const ProcessResult first = distill("stored", sets);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_TRUE(fs::exists(file("stored") / "checkpoints.store"));
  EXPECT_FALSE(fs::exists(file("stored") / "checkpoints"));
  const ProcessResult again = distill("stored", sets);
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(json::parse(again.out)["first_step"], 8);
  EXPECT_EQ(json::parse(again.out)["rouge_l"], json::parse(first.out)["rouge_l"]);
  EXPECT_EQ(json::parse(again.out)["eval_divergence"], json::parse(first.out)["eval_divergence"]);
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
  std::string recipe = kSmallDistillation;
  const std::string shape = kSmallStudent;
  recipe.replace(recipe.find(shape), shape.size(), "from = \"other/model\"\n");
  put(file("mixed.toml"), recipe);
  expect_refused(distill("x7", {}, "mixed.toml"), "different tokenizers");
}

}  // namespace
}  // namespace kinglet
