#include "kinglet/methods/fot/reasoning_run.h"

#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/llm/scripted_model.h"
#include "kinglet/methods/fot/dataset.h"
#include "kinglet/methods/fot/simulated_model.h"

namespace kinglet::fot {
namespace {

using testing_support::slurp;
using testing_support::TemporaryFolder;

std::string jsonl(int questions) {
  std::string text;
  for (int i = 0; i < questions; ++i) {
    text += Json{{"question", "What is " + std::to_string(i) + " plus 5?"}, {"answer", "#### " + std::to_string(i + 5)}}
                .dump() +
            "\n";
  }
  return text;
}

struct WordProblems {
  Dataset data;
  SimulatedModel simulated{{.right = 0.7}};
  RunPlan plan;

  explicit WordProblems(int questions) : data(parse_dataset(jsonl(questions), "test.jsonl", Task::kGsm8k)) {
    for (const Question& question : data.questions) {
      simulated.teach(Task::kGsm8k, question.text, data.answers.at(question.id).substr(5));
    }
    plan.task = Task::kGsm8k;
    plan.questions = data.questions;
    plan.arms = {{"cot", arm_settings("cot", {})}, {"fot-mctsr:2", arm_settings("fot-mctsr:2", {})}};
  }
  Grader grader() const {
    return [this](const Question& question, const ForestResult& result) {
      return Json{{"correct", is_right(Task::kGsm8k, question, result.label, data.answers.at(question.id))}};
    };
  }
};

TEST(ReasoningRun, WritesARecordAQuestion) {
  const WordProblems setup(6);
  ScriptedModel model(setup.simulated);
  const RunReport report = run_reasoning(setup.plan, model, nullptr, setup.grader());
  ASSERT_EQ(report.records.size(), 12U);
  int right = 0;
  for (const Json& record : report.records) right += record["correct"].get<bool>() ? 1 : 0;
  EXPECT_GT(right, 5);
  EXPECT_EQ(report.records[0]["arm"], "cot");
  EXPECT_EQ(report.records[0]["cost"]["calls"], 1);
}

// Cut off after any number of calls, a run goes on where it was: the file ends up the same, finished questions cost
// nothing again, and the calls of unfinished ones are the same calls.
TEST(ReasoningRun, GoesOnWhereItWasCutOff) {
  WordProblems setup(5);
  TemporaryFolder folder;
  setup.plan.out = folder / "whole.jsonl";
  ScriptedModel whole(setup.simulated);
  run_reasoning(setup.plan, whole, nullptr, setup.grader());
  const std::string expected = slurp(setup.plan.out);
  std::set<std::string> expected_lines;
  std::istringstream stream(expected);
  for (std::string line; std::getline(stream, line);) expected_lines.insert(line);

  for (const int limit : {1, 7, 20, 60}) {
    setup.plan.out = folder / ("cut" + std::to_string(limit) + ".jsonl");
    int asked = 0;
    std::set<std::string> slots;
    ScriptedModel cut([&](const ChatRequest& request) {
      ChatReply reply = setup.simulated(request);
      EXPECT_TRUE(slots.insert(request.slot).second) << request.slot;
      if (++asked > limit) {
        reply.status = ReplyStatus::kRefused;
        reply.error = "no credit left";
      }
      return reply;
    });
    EXPECT_THROW(run_reasoning(setup.plan, cut, nullptr, setup.grader()), Error);
    { std::ofstream(setup.plan.out, std::ios::app) << "{\"arm\": \"cot\", \"id\": \"torn"; }
    std::set<std::string> finished;
    for (const Json& record : read_run_file(setup.plan.out).records) {
      finished.insert(record["arm"].get<std::string>() + "/" + record["id"].get<std::string>() + "/");
    }
    ScriptedModel rest([&](const ChatRequest& request) {
      for (const std::string& prefix : finished) EXPECT_FALSE(request.slot.starts_with(prefix)) << request.slot;
      return setup.simulated(request);
    });
    const RunReport report = run_reasoning(setup.plan, rest, nullptr, setup.grader());
    EXPECT_EQ(report.resumed, static_cast<int>(finished.size()));
    std::set<std::string> lines;
    std::istringstream again(slurp(setup.plan.out));
    for (std::string line; std::getline(again, line);) lines.insert(line);
    EXPECT_EQ(lines, expected_lines) << limit;
  }
}

TEST(ReasoningRun, RefusesAFileOfOtherSettings) {
  WordProblems setup(2);
  TemporaryFolder folder;
  setup.plan.out = folder / "run.jsonl";
  ScriptedModel model(setup.simulated);
  run_reasoning(setup.plan, model, nullptr, setup.grader());
  setup.plan.arms[0].settings.temperature = 0.1;
  EXPECT_THROW(run_reasoning(setup.plan, model, nullptr, setup.grader()), Error);
  setup.plan.force = true;
  EXPECT_EQ(run_reasoning(setup.plan, model, nullptr, setup.grader()).resumed, 4);
  std::ofstream(folder / "other.jsonl") << "{\"text\": \"something else\"}\n";
  setup.plan.out = folder / "other.jsonl";
  EXPECT_THROW(run_reasoning(setup.plan, model, nullptr, setup.grader()), Error);
  setup.plan.arms = {setup.plan.arms[0], setup.plan.arms[0]};
  EXPECT_THROW(run_reasoning(setup.plan, model, nullptr, setup.grader()), Error);
}

// The search is blind for labels: with the right answers exchanged, everything but the grades is the same.
TEST(ReasoningRun, LabelsDoNotReachTheSearch) {
  const WordProblems setup(6);
  const auto traces = [&](bool permuted) {
    ScriptedModel model(setup.simulated);
    const Grader grade = [&](const Question& question, const ForestResult& result) {
      const std::string& answer = permuted ? setup.data.answers.begin()->second : setup.data.answers.at(question.id);
      return Json{{"correct", is_right(Task::kGsm8k, question, result.label, answer)}};
    };
    std::vector<std::string> lines;
    for (Json record : run_reasoning(setup.plan, model, nullptr, grade).records) {
      record.erase("correct");
      lines.push_back(record.dump());
    }
    return lines;
  };
  EXPECT_EQ(traces(false), traces(true));
}

TEST(ReasoningRun, OneModelServesQuestionsAtOnceInAnyOrder) {
  WordProblems setup(8);
  setup.plan.questions_at_once = 8;
  ScriptedModel ordered(setup.simulated);
  const RunReport first = run_reasoning(setup.plan, ordered, nullptr, setup.grader());
  for (std::uint64_t seed = 1; seed < 5; ++seed) {
    ScriptedModel shuffled(setup.simulated, {.replies_per_poll = 3, .shuffle_seed = seed});
    EXPECT_EQ(run_reasoning(setup.plan, shuffled, nullptr, setup.grader()).records, first.records);
  }
}

TEST(Dataset, ReadsPuzzles) {
  const std::string csv = "\xEF\xBB\xBFRank,Puzzles,AMT (s)\r\n1,1 1 4 6,4.4\r\n2,\"1 1 11 11\",4.6\r\n\r\n";
  const Dataset data = parse_dataset(csv, "24.csv", Task::kGame24);
  ASSERT_EQ(data.questions.size(), 2U);
  EXPECT_EQ(data.questions[1].text, "1 1 11 11");
  EXPECT_EQ(parse_dataset("4 9 10 13\n", "x.txt", Task::kGame24).questions[0].text, "4 9 10 13");
  EXPECT_THROW(parse_dataset("Rank,Numbers\n1,1 1 4 6\n", "24.csv", Task::kGame24), Error);
  EXPECT_THROW(parse_dataset("Rank,Puzzles\n1,1 1 4\n", "24.csv", Task::kGame24), Error);
  EXPECT_THROW(parse_dataset("", "x.txt", Task::kGame24), Error);
  try {
    parse_dataset("4 9 10 13\n\n1 2 3\n", "x.txt", Task::kGame24);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("x.txt: line 3"));
  }
}

TEST(Dataset, ReadsRecords) {
  const Dataset math = parse_dataset("{\"problem\": \"p\", \"answer\": \"\\\\frac12\", \"unique_id\": \"u/1\"}\n",
                                     "m.jsonl", Task::kMath);
  EXPECT_EQ(math.questions[0].id, "u/1");
  EXPECT_TRUE(is_right(Task::kMath, math.questions[0], "1/2", math.answers.at("u/1")));
  const Dataset choice = parse_dataset("{\"question\": \"q\", \"choices\": [\"red\", \"blue\"], \"answer\": 1}\n",
                                       "c.jsonl", Task::kChoice);
  EXPECT_EQ(choice.questions[0].text, "q\nA) red\nB) blue");
  EXPECT_TRUE(is_right(Task::kChoice, choice.questions[0], "B", choice.answers.at("1")));
  const Dataset words = parse_dataset(jsonl(5), "w.jsonl", Task::kGsm8k, {.start = 1, .limit = 2});
  ASSERT_EQ(words.questions.size(), 2U);
  EXPECT_EQ(words.questions[0].id, "2");
  EXPECT_TRUE(is_right(Task::kGsm8k, words.questions[0], "6", words.answers.at("2")));
  EXPECT_FALSE(is_right(Task::kGsm8k, words.questions[0], std::nullopt, words.answers.at("2")));
  for (const char* wrong :
       {"[1]\n", "{\"answer\": \"1\"}\n", "{\"question\": \" \"}\n", "{\n", "{\"question\": \"\xFF\"}\n",
        "{\"question\": \"a\", \"id\": 1}\n{\"question\": \"b\", \"id\": 1}\n"}) {
    EXPECT_THROW(parse_dataset(wrong, "w.jsonl", Task::kGsm8k), Error) << wrong;
  }
}

}  // namespace
}  // namespace kinglet::fot
