#include "kinglet/methods/fot/forest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/methods/fot/forest_driver.h"

#include "kinglet/base/error.h"
#include "kinglet/llm/scripted_model.h"
#include "kinglet/methods/fot/game24.h"
#include "kinglet/methods/fot/simulated_model.h"
#include "kinglet/methods/fot/trace.h"

namespace kinglet::fot {
namespace {

using ::testing::HasSubstr;

const Question kWords = {"q1", "Tom has 3 bags of 4 apples. How many apples has he?"};

ForestSettings plain(Base base, int trees) {
  ForestSettings settings;
  settings.base = base;
  settings.trees = trees;
  settings.correction = false;
  settings.stop = {StopRule::kNone};
  return settings;
}

ChatReply with_confidence(std::string text, double log_prob) {
  ChatReply reply = reply_saying(std::move(text));
  reply.log_probs.assign(3, TokenLogProb{"t", log_prob, {}});
  return reply;
}

TEST(Forest, OneCotTreeIsOneCall) {
  const auto result = run_forest(kWords, Task::kGsm8k, plain(Base::kCot, 1),
                                 [](const ChatRequest&) { return reply_saying("3 * 4 = 12\n#### 12"); });
  EXPECT_EQ(result.status, "answered");
  EXPECT_EQ(result.text, "3 * 4 = 12\n#### 12");
  EXPECT_EQ(result.label, "12");
  EXPECT_EQ(result.decided_by, "only tree");
  EXPECT_EQ(result.total().total_calls(), 1);
}

TEST(Forest, StopTextsGoWithEveryCall) {
  ForestSettings settings = plain(Base::kMctsr, 2);
  settings.stop_texts = {"Question:", "\n\n"};
  int calls = 0;
  run_forest(kWords, Task::kGsm8k, settings, [&](const ChatRequest& request) {
    ++calls;
    EXPECT_EQ(request.stop, settings.stop_texts) << request.role;
    return reply_saying(request.role == "reward" ? "[Score] 40" : "so #### 12");
  });
  EXPECT_GT(calls, 8);
  EXPECT_EQ(settings_to_json(settings)["stop_texts"].size(), 2U);
  EXPECT_FALSE(settings_to_json(plain(Base::kCot, 1)).contains("stop_texts")) << "files of earlier runs stay readable";
  settings.stop_texts = {""};
  EXPECT_THROW(check(settings), Error);
}

// Without augmentation, correction and stop, and with ties by the first tree, a forest of cot trees is
// self-consistency.
TEST(Forest, CotTreesAreSelfConsistency) {
  SimulatedModel model;
  model.teach(Task::kGsm8k, kWords.text, "12");
  const ForestSettings settings = arm_settings("sc:5", {});
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    ForestSettings seeded = settings;
    seeded.seed = seed;
    std::vector<ChatRequest> log;
    const auto result = run_forest(kWords, Task::kGsm8k, seeded, model, 0, {}, &log);
    ASSERT_EQ(log.size(), 5U);
    Tally tally;
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(log[static_cast<std::size_t>(i)].messages.back().content, log[0].messages.back().content);
      tally.add(i, label_of(Task::kGsm8k, model(log[static_cast<std::size_t>(i)]).text));
    }
    EXPECT_EQ(result.label, tally.leader());
    EXPECT_EQ(result.total().total_calls(), 5);
  }
}

TEST(Forest, RefinementTreesMakeNineCalls) {
  const auto answer = [](const ChatRequest& request) {
    return reply_saying(request.role == "reward" ? "bad\n[Score] 40" : "so #### 12");
  };
  for (const int rollouts : {0, 1, 3}) {
    for (const int trees : {1, 3}) {
      ForestSettings settings = plain(Base::kMctsr, trees);
      settings.rollouts = rollouts;
      const auto result = run_forest(kWords, Task::kGsm8k, settings, answer);
      EXPECT_EQ(result.total().total_calls(), trees * (4 + 5 * rollouts));
      EXPECT_EQ(result.label, "12");
    }
  }
  ForestSettings settings = plain(Base::kMctsr, 1);
  const auto flattered = run_forest(kWords, Task::kGsm8k, settings, [](const ChatRequest& request) {
    return reply_saying(request.role == "reward" ? "[Score] 96" : "so #### 12");
  });
  EXPECT_EQ(flattered.total().total_calls(), 3);  // accepted at once
}

// 1 + U + min(5, kept) calls: values are asked once for each list of numbers, and a tree that repeats another pays
// none.
TEST(Forest, Game24TreesShareValues) {
  const Question puzzle = {"p", "5 5 5 9"};
  ForestSettings settings = plain(Base::kTotBfs, 2);
  settings.shuffle = false;
  const auto answer = [](const ChatRequest& request) {
    if (request.role == "value") return reply_saying("likely");
    if (request.messages.back().content.ends_with("Input: 5 5 5 9\nPossible next steps:")) {
      return reply_saying(
          "5 + 5 = 10 (left: 10 5 9)\n5 - 5 = 0 (left: 0 5 9)\n5 * 5 = 25 (left: 25 5 9)\n"
          "9 - 5 = 4 (left: 4 5 5)\n9 + 5 = 14 (left: 14 5 5)\n9 * 5 = 45 (left: 45 5 5)\n"
          "9 - 5 = 4 (left: 4 5 5)\n5 + 9 = 14 (left: 14 5 5)");
    }
    return reply_saying("nothing to propose");
  };
  const auto result = run_forest(puzzle, Task::kGame24, settings, answer);
  ASSERT_EQ(result.costs.size(), 2U);
  EXPECT_EQ(result.costs[0].total_calls(), 1 + 6 + 5);  // seven lines, two with equal numbers left
  EXPECT_EQ(result.costs[0].shared, 1);
  EXPECT_EQ(result.costs[1].total_calls(), 1 + 5);
  EXPECT_EQ(result.costs[1].shared, 7);
  EXPECT_EQ(result.status, "no_answer");
}

TEST(Forest, SolvesAndVerifies24) {
  const Question puzzle = {"p", "4 5 6 10"};
  const auto answer = [](const ChatRequest& request) {
    if (request.role == "value") return reply_saying("Sure!");
    const std::string& text = request.messages.back().content;
    if (text.ends_with("Input: 4 5 6 10\nPossible next steps:"))
      return reply_saying("10 - 4 = 6 (left: 6 5)\n10 - 4 = 6 (left: 5 5 6)");
    return reply_saying("5 * 6 = 30 (left: 30 6)\nInput: 1 2 3\n1 + 2 = 3 (left: 3 3)");
  };
  const auto result = run_forest(puzzle, Task::kGame24, plain(Base::kTotBfs, 4), answer);
  EXPECT_EQ(result.status, "answered");
  EXPECT_EQ(result.decided_by, "solved");
  EXPECT_EQ(result.trees.size(), 1U);
  EXPECT_TRUE(verify24({4, 5, 6, 10}, result.text).correct) << result.text;
  EXPECT_EQ(result.trees[0].corrections, 1);
  EXPECT_EQ(result.trees[0].lines_dropped, 1);
}

// A bigger tree: several replies a state, each step once.
TEST(Forest, AsksForSeveralProposals) {
  ForestSettings settings = plain(Base::kTotBfs, 1);
  settings.proposals = 3;
  settings.compact_prompts = true;
  int asked = 0;
  const auto answer = [&](const ChatRequest& request) {
    if (request.role == "value") return reply_saying("likely");
    if (request.messages.back().content != "Input: 4 5 6 10\nPossible next steps:") return reply_saying("nothing");
    ++asked;
    if (asked == 1) return reply_saying("4 + 5 = 9 (left: 9 6 10)\n10 - 4 = 6 (left: 6 5 6)");
    return reply_saying(asked == 2 ? "10 - 4 = 6 (left: 6 5 6)" : "6 * 4 = 24 (left: 24 5 10)");
  };
  const auto result = run_forest({"p", "4 5 6 10"}, Task::kGame24, settings, answer);
  ASSERT_EQ(result.costs.size(), 1U);
  EXPECT_EQ(result.costs[0].calls.at("propose"), 3 + 3 * 3);
  EXPECT_EQ(result.costs[0].calls.at("value"), 3);
  settings.proposals = 0;
  EXPECT_THROW(run_forest({"p", "4 5 6 10"}, Task::kGame24, settings, answer), Error);
}

// A model that was trained on the steps is asked for a whole solution in its own words, in the tree's order.
TEST(Forest, AsksForSolutionsCompactly) {
  ForestSettings settings = plain(Base::kCot, 2);
  settings.compact_prompts = true;
  settings.fallback = true;
  std::vector<ChatRequest> log;
  const auto answer = [](const ChatRequest&) { return reply_saying("4 + 5 = 9 (left: 9 6 10)\nAnswer: 4 + 5"); };
  const auto result = run_forest({"p", "4 5 6 10"}, Task::kGame24, settings, answer, 0, {}, &log);
  EXPECT_EQ(result.status, "no_answer");
  ASSERT_EQ(log.size(), 3U);
  EXPECT_EQ(log[0].messages.back().content, "Solve: 4 5 6 10");
  EXPECT_THAT(log[1].messages.back().content, HasSubstr("Solve: "));
  EXPECT_NE(log[1].messages.back().content, "Solve: 4 5 6 10");
  EXPECT_EQ(log[2].messages.back().content, "Solve: 4 5 6 10");  // the fallback
}

// A proposer that lists every step, and no limit to what is kept: all puzzles that have a solution are solved.
TEST(Forest, PerfectProposerSolvesAllPuzzles) {
  ForestSettings settings = plain(Base::kTotBfs, 1);
  settings.allow_fractions = true;
  settings.kept = 1'000'000;
  const auto answer = [](const ChatRequest& request) {
    if (request.role == "value") return reply_saying("likely");
    const std::string& text = request.messages.back().content;
    std::vector<Rational> state;
    std::string list = text.substr(text.rfind("Input: ") + 7);
    list = list.substr(0, list.find('\n'));
    const auto step = parse_step("1 + 1 = 2 (left: " + list + ")");
    std::string lines;
    for (const Game24Step& one : all_steps(step->left, true)) lines += to_text(one) + "\n";
    return reply_saying(lines);
  };
  int tested = 0;
  for (const Puzzle& puzzle : solvable_puzzles(Intermediates::kAny)) {
    if (++tested % 10 != 0 && solve24(numbers_of(puzzle), Intermediates::kWhole))
      continue;  // a tenth, and all hard ones
    const auto result = run_forest({"p", to_text(puzzle)}, Task::kGame24, settings, answer);
    EXPECT_EQ(result.status, "answered") << to_text(puzzle);
  }
}

TEST(Forest, StopsWhenTheVoteIsDecided) {
  for (const auto& [rule, calls] : {std::pair(StopRule::kNone, 8), std::pair(StopRule::kStrict, 5),
                                    std::pair(StopRule::kLead, 5), std::pair(StopRule::kBeta, 4)}) {
    ForestSettings settings = plain(Base::kCot, 8);
    settings.stop.rule = rule;
    const auto result =
        run_forest(kWords, Task::kGsm8k, settings, [](const ChatRequest&) { return reply_saying("#### 12"); });
    EXPECT_EQ(result.total().total_calls(), calls) << name_of(rule);
    EXPECT_EQ(result.label, "12");
    EXPECT_EQ(result.late.total_calls(), 0);
  }
}

TEST(Forest, TiesGoToTheExpert) {
  const auto answer = [](const ChatRequest& request) {
    if (request.role == "expert") {
      EXPECT_THAT(request.messages.back().content, HasSubstr("(A) "));
      return reply_saying("B is right.\nChoice: B");
    }
    return reply_saying(request.slot.find("/0/") != std::string::npos ? "#### 11" : "#### 12");
  };
  ForestSettings settings = plain(Base::kCot, 2);
  auto result = run_forest(kWords, Task::kGsm8k, settings, answer);
  EXPECT_EQ(result.decided_by, "expert");
  EXPECT_EQ(result.label, "12");
  EXPECT_EQ(result.total().calls.at("expert"), 1);
  settings.decision = Decision::kMajority;
  result = run_forest(kWords, Task::kGsm8k, settings, answer);
  EXPECT_EQ(result.label, "11");
  EXPECT_EQ(result.decided_by, "first tree");
}

TEST(Forest, AnExpertThatChoosesNothingChangesNothing) {
  for (const char* verdict : {"", "Choice: none, it is 13\n#### 13", "Choice: Z", "2"}) {
    ForestSettings settings = plain(Base::kCot, 2);
    const auto answer = [&](const ChatRequest& request) {
      if (request.role == "expert") return reply_saying(verdict);
      return reply_saying(request.slot.find("/0/") != std::string::npos ? "#### 11" : "#### 12");
    };
    auto result = run_forest(kWords, Task::kGsm8k, settings, answer);
    EXPECT_EQ(result.label, "11") << verdict;
    settings.expert_may_answer = true;
    result = run_forest(kWords, Task::kGsm8k, settings, answer);
    if (std::string(verdict).find("13") != std::string::npos) {
      EXPECT_EQ(result.label, "13");
    }
  }
}

TEST(Forest, CorrectsUnsureAnswers) {
  ForestSettings settings = plain(Base::kCot, 1);
  settings.correction = true;
  const auto answer_with = [](double first, double second) {
    return [=](const ChatRequest& request) {
      return request.role == "correct" ? with_confidence("#### 12", second) : with_confidence("#### 13", first);
    };
  };
  auto result = run_forest(kWords, Task::kGsm8k, settings, answer_with(-0.8, -0.2));
  EXPECT_EQ(result.label, "12");
  EXPECT_EQ(result.trees[0].corrections, 1);
  EXPECT_EQ(result.total().total_calls(), 2);
  result = run_forest(kWords, Task::kGsm8k, settings, answer_with(-0.8, -0.8));  // only if it is strictly surer
  EXPECT_EQ(result.label, "13");
  EXPECT_EQ(result.total().total_calls(), 2);
  result = run_forest(kWords, Task::kGsm8k, settings, answer_with(-0.6, -0.1));  // above tau = 0.5
  EXPECT_EQ(result.label, "13");
  EXPECT_EQ(result.total().total_calls(), 1);
}

TEST(Forest, CorrectsByRulesWithoutLogProbabilities) {
  ForestSettings settings = plain(Base::kCot, 1);
  settings.correction = true;
  const auto result = run_forest(kWords, Task::kGsm8k, settings, [](const ChatRequest& request) {
    if (request.role == "correct") {
      EXPECT_THAT(request.messages.back().content, HasSubstr("\"3 * 4 = 13\" is wrong: it is 12"));
      return reply_saying("3 * 4 = 12\n#### 12");
    }
    return reply_saying("3 * 4 = 13\n#### 13");
  });
  EXPECT_EQ(result.label, "12");
}

TEST(Forest, ExamplesComeByDistance) {
  const ExampleBase examples({{"How many pears are in 2 bags?", "4"},
                              {"What is a prime number?", "7"},
                              {"Tom has apples in bags. How many?", "9"}});
  ForestSettings settings = plain(Base::kCot, 4);
  std::vector<ChatRequest> log;
  run_forest(
      kWords, Task::kGsm8k, settings, [](const ChatRequest&) { return reply_saying("#### 1"); }, 0, examples, &log);
  ASSERT_EQ(log.size(), 4U);
  EXPECT_EQ(log[0].messages.back().content.find("Answer: "), std::string::npos);
  EXPECT_THAT(log[1].messages.back().content, HasSubstr("Answer: 9"));
  EXPECT_THAT(log[2].messages.back().content, HasSubstr("Answer: 4"));
  EXPECT_THAT(log[3].messages.back().content, HasSubstr("Answer: 7"));
  EXPECT_THROW(examples.refuse_questions({{"x", "what is a PRIME number"}}, "cases.jsonl"), Error);
}

TEST(Forest, FailedTreesAbstain) {
  ForestSettings settings = plain(Base::kCot, 3);
  const auto result = run_forest(kWords, Task::kGsm8k, settings, [](const ChatRequest& request) {
    if (request.slot.find("/0/") != std::string::npos) {
      ChatReply reply;
      reply.status = ReplyStatus::kFailed;
      reply.error = "connection reset";
      return reply;
    }
    if (request.slot.find("/1/") != std::string::npos) return reply_saying("I don't know.");
    return reply_saying("#### 12");
  });
  EXPECT_FALSE(result.trees[0].active);
  EXPECT_THAT(result.trees[0].stop_reason, HasSubstr("connection reset"));
  EXPECT_EQ(result.trees[1].stop_reason, "refused");
  EXPECT_EQ(result.label, "12");
  EXPECT_EQ(result.decided_by, "only tree");
}

TEST(Forest, NoActiveTreeIsNoAnswer) {
  ForestSettings settings = plain(Base::kCot, 2);
  const auto refuse = [](const ChatRequest& request) {
    return reply_saying(request.role == "fallback" ? "#### 5" : "");
  };
  auto result = run_forest(kWords, Task::kGsm8k, settings, refuse);
  EXPECT_EQ(result.status, "no_answer");
  EXPECT_FALSE(result.label);
  settings.fallback = true;
  result = run_forest(kWords, Task::kGsm8k, settings, refuse);
  EXPECT_EQ(result.label, "5");
  EXPECT_EQ(result.decided_by, "fallback");
}

TEST(Forest, KeepsToItsBudget) {
  SimulatedModel model;
  model.teach(Task::kGsm8k, kWords.text, "12");
  ForestSettings settings = plain(Base::kMctsr, 8);
  settings.width = 1;
  settings.most_calls = 20;
  const auto result = run_forest(kWords, Task::kGsm8k, settings, model);
  EXPECT_LE(result.total().total_calls(), 20);
  EXPECT_EQ(result.status, "budget");
  EXPECT_TRUE(result.label);
}

// Wherever the budget ends, also while trees wait for each other's calls, the forest comes to an end.
TEST(Forest, EndsAtEveryBudget) {
  const SimulatedModel model;
  for (int calls = 1; calls < 40; ++calls) {
    ForestSettings settings = plain(Base::kTotBfs, 6);
    settings.width = 3;
    settings.shuffle = false;
    settings.most_calls = calls;
    for (std::uint64_t shuffle = 0; shuffle < 4; ++shuffle) {
      const auto result = run_forest({"p", "1 1 1 1"}, Task::kGame24, settings, model, shuffle);
      EXPECT_FALSE(result.status.empty()) << calls << " calls, order " << shuffle;
      EXPECT_LE(result.total().total_calls(), calls);
    }
  }
}

TEST(Forest, RefusesBadQuestionsAndSettings) {
  const ExampleBase none;
  EXPECT_THROW(Forest({"q", " \n"}, Task::kMath, {}, none), Error);
  EXPECT_THROW(Forest({"q", "1 2 3"}, Task::kGame24, {}, none), Error);
  ForestSettings settings;
  settings.trees = 0;
  EXPECT_THROW(Forest(kWords, Task::kMath, settings, none), Error);
  settings = {};
  settings.tau = 0;
  EXPECT_THROW(Forest(kWords, Task::kMath, settings, none), Error);
  EXPECT_THROW(arm_settings("sc:x", {}), Error);
  EXPECT_THROW(arm_settings("best", {}), Error);
}

// Same replies, other order: the same trace to the byte. And what is counted for trees sums up to the question's.
TEST(Forest, IsTheSameInEveryOrderOfReplies) {
  SimulatedModel model({.right = 0.5});
  model.teach(Task::kGsm8k, kWords.text, "12");
  for (const Base base : {Base::kCot, Base::kMctsr, Base::kTotBfs, Base::kTotDfs}) {
    for (const Task task : {Task::kGsm8k, Task::kGame24}) {
      ForestSettings settings;
      settings.base = base;
      settings.trees = 5;
      settings.depth = 2;
      settings.width = task == Task::kGame24 ? 3 : 0;
      const Question question = task == Task::kGame24 ? Question{"p", "4 9 10 13"} : kWords;
      const ForestResult first = run_forest(question, task, settings, model);
      for (std::uint64_t shuffle = 1; shuffle < 20; ++shuffle) {
        ForestResult other = run_forest(question, task, settings, model, shuffle);
        other.late = first.late;  // what stopped trees had begun depends on the order
        EXPECT_EQ(result_to_json(other, TraceDetail::kFull).dump(), result_to_json(first, TraceDetail::kFull).dump());
      }
      CallCost sum = first.decision_cost;
      for (const CallCost& cost : first.costs) sum += cost;
      sum += first.late;
      EXPECT_EQ(sum, first.total());
    }
  }
}

TEST(Forest, StepTreesFindTheirWay) {
  for (const Base base : {Base::kTotBfs, Base::kTotDfs}) {
    ForestSettings settings = plain(base, 1);
    settings.branch = 2;
    int proposals = 0;
    const auto result = run_forest(kWords, Task::kGsm8k, settings, [&](const ChatRequest& request) {
      if (request.role == "propose") return reply_saying("Step " + std::to_string(++proposals) + ": count apples");
      if (request.role == "value") return reply_saying(proposals == 5 ? "[Score] 0.95" : "[Score] 0.5");
      return reply_saying("#### 12");
    });
    EXPECT_EQ(result.label, "12");
    EXPECT_EQ(proposals, 5);
    EXPECT_NEAR(result.trees[0].score, 0.95, 1e-9);
  }
}

}  // namespace
}  // namespace kinglet::fot
