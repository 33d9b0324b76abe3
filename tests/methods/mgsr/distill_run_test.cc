// Whole distillations from recipes, in run folders: a teacher is trained first, from nothing.
#include "kinglet/methods/mgsr/distill_run.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/distill_recipes.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/io/metrics.h"
#include "kinglet/text/answer_file.h"
#include "kinglet/train/language_run.h"

namespace kinglet::mgsr {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::kSmallDistillation;
using testing_support::kSmallStudent;
using testing_support::kSmallTeacher;
using testing_support::refusal;
using testing_support::TemporaryFolder;
using testing_support::word_questions;

void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

class DistillRuns : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    write(*folder_ / "train.jsonl", word_questions(1, 60));
    write(*folder_ / "validation.jsonl", word_questions(2, 8));
    write(*folder_ / "teacher.toml", kSmallTeacher);
    write(*folder_ / "distill.toml", kSmallDistillation);
    LanguageRunOptions options;
    options.out = *folder_ / "teacher";
    run_language_recipe(Recipe::load(*folder_ / "teacher.toml"), options, basic_kinds());
  }
  static void TearDownTestSuite() { folder_.reset(); }
  static fs::path file(const std::string& name) { return *folder_ / name; }

  static DistillRunSummary distill(const std::string& run, const std::vector<std::string>& sets = {},
                                   const std::string& name = "distill.toml") {
    Recipe recipe = Recipe::load(file(name));
    for (const std::string& set : sets) recipe.set(set);
    DistillRunOptions options;
    options.out = file(run);
    return run_distill_recipe(std::move(recipe), options, basic_kinds());
  }

  static std::unique_ptr<TemporaryFolder> folder_;
};
std::unique_ptr<TemporaryFolder> DistillRuns::folder_;

TEST_F(DistillRuns, MakeARunFolder) {
  const DistillRunSummary summary = distill("mgsr");
  EXPECT_EQ(summary.steps, 8);
  EXPECT_GT(summary.teacher_parameters, summary.student_parameters);
  EXPECT_GT(summary.divergence.value(), 0);
  EXPECT_TRUE(summary.rouge_l && summary.evaluation_loss);
  for (const char* name :
       {"recipe.toml", "metrics.jsonl", "loss.svg", "model/model.safetensors", "model/tokenizer.json",
        "best/config.json", "checkpoints/checkpoint-8/distillation.safetensors"}) {
    EXPECT_TRUE(fs::exists(file("mgsr") / name)) << name;
  }
  bool revised = false;
  for (const MetricsLine& line : read_metrics(file("mgsr") / "metrics.jsonl")) {
    revised = revised || line.value("revised").has_value();
  }
  EXPECT_TRUE(revised);
  EXPECT_EQ(read_answers(file("mgsr") / "answers.jsonl").size(), 4U);

  // Again: nothing is left to do, and the numbers are the same.
  const DistillRunSummary again = distill("mgsr");
  EXPECT_EQ(again.first_step, 8);
  EXPECT_EQ(again.rouge_l, summary.rouge_l);
  EXPECT_EQ(again.evaluation_loss, summary.evaluation_loss);

  // Its student can be the next one's start.
  std::string recipe = kSmallDistillation;
  const std::string shape = kSmallStudent;
  recipe.replace(recipe.find(shape), shape.size(), "from = \"mgsr/model\"\n");
  write(file("next.toml"), recipe);
  EXPECT_LT(distill("next", {"method=kd"}, "next.toml").evaluation_loss.value(), summary.evaluation_loss.value());
}

TEST_F(DistillRuns, NeedNoTeacherWithItsLogits) {
  const std::vector<std::string> sets = {"method=kd", "teacher.cache=" + file("logits").string(),
                                         "teacher.cache_top_k=40"};
  const DistillRunSummary first = distill("kd", sets);
  EXPECT_GT(first.cache_bytes, 1000U);
  std::string recipe = kSmallDistillation;
  recipe.replace(recipe.find("from = \"teacher/model\""), 22, "");
  recipe.insert(recipe.find("hidden_size = 16"), "tokenizer = \"teacher/model\"\n");
  write(file("alone.toml"), recipe);
  const DistillRunSummary second = distill("alone", sets, "alone.toml");
  EXPECT_EQ(second.teacher_parameters, 0);
  EXPECT_EQ(second.evaluation_loss, first.evaluation_loss);
  EXPECT_THAT(refusal([&] {
                distill("x0", {"method=kd", sets[1], "teacher.cache_top_k=30"});
              }),
              HasSubstr("another cache_top_k"));
}

TEST_F(DistillRuns, RefuseMistakes) {
  EXPECT_THAT(refusal([] { distill("x1", {"data.longest=400"}); }), HasSubstr("positions"));
  EXPECT_THAT(refusal([] { distill("x2", {"teacher.from=nowhere"}); }), HasSubstr("nowhere"));
  EXPECT_THAT(refusal([] { distill("x3", {"data.longest_prompt=2"}); }), HasSubstr("no example is left"));
  EXPECT_THAT(refusal([] { distill("x4", {"data.chat=template"}); }), HasSubstr("no chat template"));
  EXPECT_THAT(refusal([] {
                distill("x5", {"seed=1"});
                distill("x5", {"seed=2"});
              }),
              HasSubstr("began with another recipe"));
}

}  // namespace
}  // namespace kinglet::mgsr
