#include "kinglet/methods/star_agents/refine.h"

#include <algorithm>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/methods/star_agents/mock_world.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"

namespace kinglet::star_agents {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing_support::TemporaryFolder;

struct Result {
  std::vector<SeedOutcome> outcomes;
  std::vector<std::string> trace;  // everything that must not depend on the order of events
  std::vector<double> probabilities;
  std::size_t remembered = 0;
};

Result run(const std::vector<Seed>& seeds, const Settings& settings, MockWorld& world,
           const std::filesystem::path& scores) {
  ScoreCache cache(scores);
  std::vector<std::string> texts;
  for (const Seed& seed : seeds) texts.push_back(seed.instruction());
  HashedTfIdf embedder(texts, 64);
  Result result;
  RunObserver observer;
  observer.on_seed = [&](const SeedOutcome& outcome) {
    std::string line = fmt::format("{} {} {:a} {}", outcome.seed, outcome.choice.winner, outcome.choice.composite,
                                   outcome.judge_calls);
    for (const CandidateOutcome& one : outcome.candidates) {
      line += fmt::format(" | {} {} {:a} {:a} {}", one.response, one.problem, one.dual, one.probability,
                          one.judge.value_or(-1));
    }
    result.trace.push_back(std::move(line));
    result.outcomes.push_back(outcome);
  };
  observer.on_wave = [&](const WaveState& state) {
    result.probabilities.assign(state.probabilities.begin(), state.probabilities.end());
    result.remembered = state.remembered;
    std::string line;
    for (const double p : state.probabilities) line += fmt::format("{:a} ", p);
    result.trace.push_back(std::move(line));
  };
  refine(seeds, settings, {world.chat(), &world.small, &world.large, &cache, &embedder}, observer);
  return result;
}

TEST(Refine, KeepsOnePairASeedAndAccountsForEveryCall) {
  const TemporaryFolder folder;
  const std::vector<Seed> seeds = mock_seeds(100);
  const Settings settings = mock_settings();
  MockWorld world(settings);
  const Result result = run(seeds, settings, world, folder.path() / "scores.jsonl");
  ASSERT_EQ(result.outcomes.size(), seeds.size());
  std::vector<std::size_t> wins(settings.pairs.size(), 0);
  std::size_t base_wins = 0, judge_calls = 0;
  std::vector<bool> seen(seeds.size(), false);
  for (const SeedOutcome& outcome : result.outcomes) {
    EXPECT_FALSE(seen[outcome.seed]);
    seen[outcome.seed] = true;
    if (outcome.winner().pair)
      ++wins[*outcome.winner().pair];
    else
      ++base_wins;
    judge_calls += outcome.judge_calls;
    EXPECT_EQ(outcome.candidates.size(), 5U);
    EXPECT_GE(*outcome.winner().judge, 0.5);
  }
  EXPECT_EQ(std::accumulate(wins.begin(), wins.end(), base_wins), seeds.size());
  std::size_t answers = 0;
  for (const auto& [name, model] : world.models) {
    if (name != "judge") answers += model->answered();
  }
  EXPECT_EQ(answers, seeds.size() * 5);
  EXPECT_EQ(world.models.at("judge")->answered(), judge_calls);
  EXPECT_LT(judge_calls, seeds.size() * 8);
  // Good agents win and are asked more often.
  EXPECT_GT(wins[5], wins[0]);
  EXPECT_GT(result.probabilities[5], 1.05 / 6);
  EXPECT_LT(result.probabilities[0], 0.95 / 6);
  EXPECT_GT(result.remembered, 10U);
}

TEST(Refine, TheOrderOfAnswersChangesNothing) {
  const TemporaryFolder folder;
  const std::vector<Seed> seeds = mock_seeds(60);
  const Settings settings = mock_settings();
  MockWorld plain(settings, 0, 1);
  const Result expected = run(seeds, settings, plain, folder.path() / "plain.jsonl");
  for (std::uint64_t shuffle = 1; shuffle <= 5; ++shuffle) {
    MockWorld world(settings, shuffle, shuffle * 7);
    EXPECT_EQ(run(seeds, settings, world, folder.path() / fmt::format("{}.jsonl", shuffle)).trace, expected.trace);
  }
  Settings other = settings;
  other.run_seed = 18;
  MockWorld world(other);
  EXPECT_NE(run(seeds, other, world, folder.path() / "other.jsonl").trace, expected.trace);
}

TEST(Refine, LazyJudgingKeepsTheSamePairs) {
  const TemporaryFolder folder;
  const std::vector<Seed> seeds = mock_seeds(60);
  Settings settings = mock_settings();
  MockWorld lazy_world(settings), full_world(settings);
  const Result lazy = run(seeds, settings, lazy_world, folder.path() / "lazy.jsonl");
  settings.lazy_judging = false;
  const Result full = run(seeds, settings, full_world, folder.path() / "full.jsonl");
  EXPECT_EQ(lazy.probabilities, full.probabilities);
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    EXPECT_EQ(lazy.outcomes[i].winner().response, full.outcomes[i].winner().response);
  }
  EXPECT_LT(lazy_world.models.at("judge")->answered(), full_world.models.at("judge")->answered());
}

TEST(Refine, ScoresNothingTwice) {
  const TemporaryFolder folder;
  const std::vector<Seed> seeds = mock_seeds(30);
  const Settings settings = mock_settings();
  MockWorld first(settings), second(settings);
  const Result one = run(seeds, settings, first, folder.path() / "scores.jsonl");
  EXPECT_GT(first.small.scored, 100U);
  const Result two = run(seeds, settings, second, folder.path() / "scores.jsonl");
  EXPECT_EQ(second.small.scored + second.large.scored, 0U);
  EXPECT_EQ(one.trace, two.trace);
}

TEST(Refine, BadAnswersAreNotKept) {
  const TemporaryFolder folder;
  const std::vector<Seed> seeds = mock_seeds(24);
  Settings settings = mock_settings(4);
  MockWorld world(settings);
  world.add("agent0", [](const ChatRequest&) { return reply_saying("  \n"); });
  world.add("agent1", [](const ChatRequest&) { return reply_saying("I'm sorry, I can't help with that."); });
  world.add("agent2", [](const ChatRequest& request) {
    ChatReply reply = mock_answer("agent2", 0.99, request);
    reply.finish_reason = FinishReason::kLength;
    return reply;
  });
  world.add("agent3", [](const ChatRequest&) {
    ChatReply reply;
    reply.status = ReplyStatus::kFailed;
    reply.error = "HTTP 400";
    return reply;
  });
  const Result result = run(seeds, settings, world, folder.path() / "scores.jsonl");
  for (const SeedOutcome& outcome : result.outcomes) {
    EXPECT_EQ(outcome.choice.winner, 0U);
    EXPECT_THAT(outcome.winner().response, HasSubstr("base says"));
    EXPECT_EQ(outcome.judge_calls, 0U);
    for (const CandidateOutcome& one : outcome.candidates) EXPECT_EQ(one.problem.empty(), !one.pair);
  }
  EXPECT_THAT(result.probabilities, Each(0.25));  // an outage must not phase a model out
}

TEST(Refine, TheOldAnswerStandsInForABaseThatFailed) {
  const TemporaryFolder folder;
  const std::vector<Seed> seeds = mock_seeds(8);
  const Settings settings = mock_settings();
  MockWorld world(settings);
  world.add("base", [](const ChatRequest&) { return reply_saying(""); });
  for (const SeedOutcome& outcome : run(seeds, settings, world, folder.path() / "scores.jsonl").outcomes) {
    EXPECT_EQ(outcome.candidates[0].response, seeds[outcome.seed].response);
    EXPECT_EQ(outcome.candidates[0].model, "seed");
  }
}

TEST(Refine, AJudgeWithoutAVerdictIsAskedOnceMoreAndThenCountsAsALoss) {
  const TemporaryFolder folder;
  const std::vector<Seed> seeds = mock_seeds(16);
  const Settings settings = mock_settings();
  MockWorld stubborn(settings), hesitant(settings);
  stubborn.add("judge", [](const ChatRequest&) { return reply_saying("I would rather not say."); });
  for (const SeedOutcome& outcome : run(seeds, settings, stubborn, folder.path() / "1.jsonl").outcomes) {
    EXPECT_EQ(outcome.choice.winner, 0U);
    EXPECT_EQ(outcome.judge_calls, 2 * outcome.verdicts_missing);
  }
  hesitant.add("judge", [](const ChatRequest& request) {
    return request.slot.ends_with("/again") ? mock_verdict(request) : reply_saying("Hm.");
  });
  MockWorld sure(settings);
  const Result expected = run(seeds, settings, sure, folder.path() / "2.jsonl");
  const Result got = run(seeds, settings, hesitant, folder.path() / "3.jsonl");
  EXPECT_EQ(got.probabilities, expected.probabilities);
}

TEST(Refine, RewritesInstructionsAndFallsBackToTheSeed) {
  const TemporaryFolder folder;
  const std::vector<Seed> seeds = mock_seeds(16);
  Settings settings = mock_settings();
  settings.instruction_agents.push_back({"harder", "writer", Rewriting::kAny, "", {}});
  for (AgentPair& pair : settings.pairs) pair.instruction = pair.response % 2;
  MockWorld world(settings);
  world.add("writer", [](const ChatRequest& request) {
    return number_of(request.slot) < 0.5 ? reply_saying("Explain it in exactly three sentences, " + request.slot)
                                         : reply_saying("### New instruction\nsomething");
  });
  std::size_t rewritten = 0, kept = 0;
  for (const SeedOutcome& outcome : run(seeds, settings, world, folder.path() / "scores.jsonl").outcomes) {
    for (const CandidateOutcome& one : outcome.candidates) {
      if (!one.pair || settings.pairs[*one.pair].instruction == 0) {
        EXPECT_EQ(one.instruction, seeds[outcome.seed].instruction());
      } else {
        ++(one.instruction == seeds[outcome.seed].instruction() ? kept : rewritten);
      }
    }
  }
  EXPECT_GT(rewritten, 0U);
  EXPECT_GT(kept, 0U);
  EXPECT_LE(world.models.at("writer")->answered(), seeds.size());
}

TEST(Refine, WithoutAJudgeTheScoresDecide) {
  const TemporaryFolder folder;
  const std::vector<Seed> seeds = mock_seeds(16);
  Settings settings = mock_settings();
  settings.judge.reset();
  settings.base_agent.reset();
  MockWorld world(settings);
  for (const SeedOutcome& outcome : run(seeds, settings, world, folder.path() / "scores.jsonl").outcomes) {
    for (const CandidateOutcome& one : outcome.candidates)
      EXPECT_LE(one.dual * (one.pair ? 1 : 0.5), outcome.choice.composite);
  }
}

TEST(Refine, StopsWhenAModelTakesNoCalls) {
  const TemporaryFolder folder;
  const std::vector<Seed> seeds = mock_seeds(16);
  const Settings settings = mock_settings();
  MockWorld world(settings);
  world.add("judge", [](const ChatRequest&) {
    ChatReply reply;
    reply.status = ReplyStatus::kRefused;
    reply.error = "HTTP 401: wrong key";
    return reply;
  });
  try {
    run(seeds, settings, world, folder.path() / "scores.jsonl");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFailed);
    EXPECT_THAT(error.what(), HasSubstr("HTTP 401"));
  }
  for (const auto& [name, model] : world.models) EXPECT_EQ(model->open_calls(), 0U);
}

TEST(Refine, RefusesSettingsBeforeAnyCall) {
  const TemporaryFolder folder;
  const std::vector<Seed> seeds = mock_seeds(4);
  const auto refused = [&](const auto& change) {
    Settings settings = mock_settings();
    MockWorld world(settings);
    change(settings);
    EXPECT_THROW(run(seeds, settings, world, folder.path() / "scores.jsonl"), Error);
    for (const auto& [name, model] : world.models) EXPECT_EQ(model->answered(), 0U);
  };
  refused([](Settings& settings) { settings.draw.samples = 7; });
  refused([](Settings& settings) { settings.draw.samples = 0; });
  refused([](Settings& settings) { settings.draw.retrieved = 5; });
  refused([](Settings& settings) { settings.memory.neighbours = 0; });
  refused([](Settings& settings) { settings.beta = 0; });
  refused([](Settings& settings) { settings.pairs.clear(); });
  refused([](Settings& settings) { settings.reward_all = true; });
  refused([](Settings& settings) { settings.response_agents[2].model = "unknown"; });
}

}  // namespace
}  // namespace kinglet::star_agents
