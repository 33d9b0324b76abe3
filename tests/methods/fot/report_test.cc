// Summaries and the page of a run.
#include <algorithm>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/methods/fot/forest_driver.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/llm/scripted_model.h"
#include "kinglet/methods/fot/dataset.h"
#include "kinglet/methods/fot/game24_data.h"
#include "kinglet/methods/fot/run_report.h"
#include "kinglet/methods/fot/run_summary.h"
#include "kinglet/methods/fot/simulated_model.h"
#include "kinglet/methods/fot/trace.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet::fot {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Json record_of(Task task, const Question& question, const ForestSettings& settings, const Answerer& answer) {
  Json record = {{"arm", "a"}, {"id", question.id}, {"question", question.text}, {"correct", true}, {"covered", true}};
  record.update(result_to_json(run_forest(question, task, settings, answer), TraceDetail::kFull));
  return record;
}

TEST(RunSummary, IntervalsAndTests) {
  const auto [low, high] = wilson_interval(92, 95);
  EXPECT_NEAR(low, 0.911, 1e-3);
  EXPECT_NEAR(high, 0.989, 1e-3);
  EXPECT_EQ(wilson_interval(0, 0), std::pair(0.0, 1.0));
  EXPECT_NEAR(mcnemar_p(5, 15), 0.0414, 1e-4);
  EXPECT_EQ(mcnemar_p(0, 0), 1);
}

TEST(RunSummary, CountsAccuracyAndCoverageApart) {
  ForestSettings settings;
  settings.trees = 1;
  std::vector<Json> records;
  for (int i = 0; i < 4; ++i) {
    Json record = record_of(Task::kGsm8k, {std::to_string(i), "a question"}, settings,
                            [](const ChatRequest&) { return reply_saying("#### 1"); });
    record["correct"] = i < 2;
    record["covered"] = i < 3;
    records.push_back(record);
    record["arm"] = "b";
    record["correct"] = i == 3;
    records.push_back(record);
  }
  const auto arms = summarize(records);
  ASSERT_EQ(arms.size(), 2U);
  EXPECT_EQ(arms[0].right, 2);
  EXPECT_EQ(arms[0].covered, 3);
  EXPECT_EQ(arms[0].calls, 1);
  const auto pairs = compare_arms(records);
  ASSERT_EQ(pairs.size(), 1U);
  EXPECT_EQ(pairs[0].first_only, 2);
  EXPECT_EQ(pairs[0].second_only, 1);
  EXPECT_THROW(summarize({Json{{"arm", "x"}}}), Error);
  EXPECT_THROW(summarize({Json::array()}), Error);
}

TEST(RunReport, ShowsTreesVotesAndTheStop) {
  ForestSettings settings;
  settings.base = Base::kTotBfs;
  settings.trees = 8;
  settings.seed = 3;
  const Json record = record_of(Task::kGame24, {"p", "4 9 10 13"}, settings, SimulatedModel());
  const std::string html = html_report({{"task", "game24"}, {"model", "simulated"}}, {record});
  EXPECT_THAT(html, HasSubstr("<svg"));
  EXPECT_THAT(html, HasSubstr("tree 1"));
  EXPECT_THAT(html, HasSubstr("circle class='cut"));
  EXPECT_THAT(html, HasSubstr("Decided by <b>"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
}

TEST(RunReport, ShowsHostileTextAsText) {
  const std::string attack = "<script>alert('x')</script>\xFF\x1B[31m & \"quotes\"\n#### 3";
  ForestSettings settings;
  settings.trees = 2;
  const Json record = record_of(Task::kGsm8k, {"<b>", attack.substr(0, 27)}, settings,
                                [&](const ChatRequest&) { return reply_saying(attack); });
  const std::string html = html_report({{"task", "<i>"}, {"model", "<u>"}}, {record});
  for (const char* tag : {"<script", "<b>\xFF", "<i>", "<u>", "\x1B"}) EXPECT_THAT(html, Not(HasSubstr(tag))) << tag;
}

// Records come from a file: whatever a field holds, the page is made or the record refused.
TEST(RunReport, StandsDamagedRecords) {
  ForestSettings settings;
  settings.trees = 2;
  const Json good =
      record_of(Task::kGsm8k, {"1", "q"}, settings, [](const ChatRequest&) { return reply_saying("#### 3"); });
  Rng rng(5);
  const std::vector<Json> odd = {
      nullptr, -5, 1e300, "text", true, Json::array(), Json::object(), Json::array({1, "x", nullptr})};
  const std::function<void(Json&)> damage = [&](Json& json) {
    if (rng.uniform() < 0.08) json = odd[rng.below(odd.size())];
    if (json.is_structured()) {
      for (Json& child : json) damage(child);
    }
  };
  for (int round = 0; round < 300; ++round) {
    Json record = good;
    damage(record);
    try {
      html_report(Json::object(), {record});
    } catch (const Error&) {
    }
  }
  std::string deep = R"({"nodes":[)";
  for (int i = 0; i < 3000; ++i)
    deep += (i > 0 ? "," : "") + std::string(R"({"parent":)") + std::to_string(i - 1) + "}";
  EXPECT_THAT(tree_svg(Json::parse(deep + "]}"), 1), HasSubstr("<svg"));
}

TEST(Game24Data, TestPuzzlesAreNotTrainedOn) {
  const testing_support::TemporaryFolder folder;
  const Game24DataReport report = write_game24_data(folder.path(), {.orders = 1});
  EXPECT_GT(report.train_records, 10000U);
  EXPECT_GT(report.test_puzzles, 95U);
  const Game24Split split = split_puzzles(0.1, 0);
  std::set<std::string> tested;
  for (Puzzle puzzle : split.test) tested.insert(to_text(puzzle));
  const Bytes bytes = read_file(folder / "train.jsonl");
  std::string_view text = as_text(bytes);
  for (int lines = 0; !text.empty() && lines < 2000; ++lines) {
    const Json record = parse_json(text.substr(0, text.find('\n')), "train");
    text.remove_prefix(text.find('\n') + 1);
    const std::string prompt = record["messages"][0]["content"];
    std::vector<Rational> state;
    if (!prompt.starts_with("Input: ")) continue;
    const auto step = parse_step("1 + 1 = 2 (left: " + prompt.substr(7, prompt.find('\n') - 7) + ")");
    ASSERT_TRUE(step) << prompt;
    if (step->left.size() == 4) {
      Puzzle puzzle{};
      for (std::size_t i = 0; i < 4; ++i) puzzle[i] = static_cast<int>(step->left[i].numerator());
      std::sort(puzzle.begin(), puzzle.end());
      EXPECT_EQ(tested.count(to_text(puzzle)), 0U) << prompt;
    }
    std::istringstream replies(record["messages"][1]["content"].get<std::string>());
    for (std::string line; std::getline(replies, line);) {
      const CheckedStep checked = check_step(line, step->left, StepRules::kExact);
      EXPECT_TRUE(checked.step && !checked.rewritten) << line;
    }
  }
  EXPECT_TRUE(std::filesystem::exists(folder / "tokenizer" / "tokenizer_config.json"));
  const Bytes test = read_file(folder / "test.txt");
  EXPECT_EQ(parse_dataset(as_text(test), "test.txt", Task::kGame24).questions.size(), report.test_puzzles);
  EXPECT_THROW(write_game24_data(folder.path(), {.test_share = 2}), Error);
  EXPECT_THROW(write_game24_data(folder.path(), {.verdicts = 0}), Error);
}

TEST(Game24Data, SolutionsAreRightAndVerdictsTrue) {
  const testing_support::TemporaryFolder folder;
  write_game24_data(folder.path(), {.orders = 1});
  const Bytes bytes = read_file(folder / "validation.jsonl");
  int solutions = 0, sure = 0, impossible = 0;
  for (std::string_view text = as_text(bytes); !text.empty(); text.remove_prefix(text.find('\n') + 1)) {
    const Json record = parse_json(text.substr(0, text.find('\n')), "validation");
    const std::string prompt = record["messages"][0]["content"], reply = record["messages"][1]["content"];
    if (prompt.starts_with("Solve: ")) {
      ++solutions;
      EXPECT_EQ(solves(Task::kGame24, {"p", prompt.substr(7)}, reply), true) << prompt << "\n" << reply;
    } else if (prompt.starts_with("Value: ")) {
      const auto step = parse_step("1 + 1 = 2 (left: " + prompt.substr(7) + ")");
      ASSERT_TRUE(step) << prompt;
      const bool reachable = solve24(step->left, Intermediates::kWhole).has_value();
      EXPECT_EQ(reply, reachable ? "sure" : "impossible") << prompt;
      ++(reachable ? sure : impossible);
    }
  }
  EXPECT_GT(solutions, 5);
  EXPECT_GT(sure, 50);
  EXPECT_GT(impossible, 50);
}

TEST(Game24Data, NumbersAreWholeTokens) {
  const testing_support::TemporaryFolder folder;
  write_game24_data(folder.path(), {.orders = 1});
  const auto tokenizer = Tokenizer::load(folder / "tokenizer");
  EXPECT_EQ(tokenizer->encode("4 * 13 = 52 (left: 52 9 10)", false).size(), 10U);
  ASSERT_TRUE(tokenizer->eos());
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("(10 - 4) * 9", false)), "(10 - 4) * 9");
}

}  // namespace
}  // namespace kinglet::fot
