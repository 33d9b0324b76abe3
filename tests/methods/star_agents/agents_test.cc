#include "kinglet/methods/star_agents/agents.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/methods/star_agents/mock_world.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/methods/star_agents/answer_check.h"
#include "kinglet/methods/star_agents/score_cache.h"

namespace kinglet::star_agents {
namespace {

using testing::HasSubstr;
using testing_support::TemporaryFolder;

TEST(Agents, FillsTemplatesOnce) {
  const TemplateValues values{"{seed_response}", "new", "old"};
  EXPECT_EQ(fill_template("{instruction} {rewritten_instruction} {seed_response} {other} {", values),
            "{seed_response} new old {other} {");
}

TEST(Agents, AnswersTheRewrittenInstructionInItsConversation) {
  Seed seed;
  seed.context = {{"system", "Be brief"}, {"user", "a"}, {"assistant", "b"}, {"user", "c"}};
  seed.response = "d";
  ResponseAgent agent;
  EXPECT_EQ(answer_request(agent, seed, "C").messages.back().content, "C");
  EXPECT_EQ(answer_request(agent, seed, "C").messages.size(), 4U);
  agent.system = "Be long";
  agent.prompt = "Better than '{seed_response}': {rewritten_instruction}";
  const ChatRequest request = answer_request(agent, seed, "C");
  EXPECT_EQ(request.messages.front().content, "Be long");
  EXPECT_EQ(request.messages.back().content, "Better than 'd': C");
  seed.context.erase(seed.context.begin());
  EXPECT_EQ(answer_request(agent, seed, "C").messages.front().content, "Be long");
}

TEST(Agents, AnyRewritingDrawsAnOperator) {
  Seed seed;
  seed.context = {{"user", "Name a river"}};
  const InstructionAgent agent{"any", "writer", Rewriting::kAny, "", {}};
  std::set<std::string> prompts;
  for (std::uint64_t i = 0; i < 50; ++i) {
    Rng rng(i);
    prompts.insert(rewriting_request(agent, seed, rng).messages.back().content);
  }
  EXPECT_EQ(prompts.size(), 5U);
  EXPECT_THAT(*prompts.begin(), HasSubstr("Name a river"));
  for (const std::string& name : rewriting_names()) EXPECT_TRUE(rewriting_of_name(name));
  EXPECT_FALSE(rewriting_of_name("nothing"));
}

TEST(AnswerCheck, FindsWhatMustNotBeKept) {
  EXPECT_EQ(problem_of_answer("The Rhine.", "Name a river"), "");
  EXPECT_EQ(problem_of_answer(" \n", "q"), "empty");
  EXPECT_EQ(problem_of_answer(" Name a river\n", "Name a river"), "repeats_instruction");
  EXPECT_EQ(problem_of_answer("Sorry, but I can't.", "q"), "refusal");
  EXPECT_EQ(problem_of_answer(std::string(kRewrittenLabel) + "\nx", "q"), "template_label");
  std::string apology = "She said sorry";
  for (int i = 0; i < 80; ++i) apology += " and walked";
  EXPECT_EQ(problem_of_answer(apology, "Write a story"), "");
  EXPECT_EQ(problem_of_answer("\xff", "q"), "");
  EXPECT_EQ(problem_of_rewriting("a", "a "), "unchanged");
  EXPECT_EQ(problem_of_rewriting("?!", "a"), "no_words");
  EXPECT_EQ(problem_of_rewriting("", "a"), "empty");
  EXPECT_EQ(problem_of_rewriting("Name two", "Name one"), "");
}

TEST(ScoreCache, SurvivesATornLineAndRefusesADamagedOne) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "scores.jsonl";
  const ScoreItem item{{{"user", "q"}}, "a"}, other{{{"user", "q"}}, "b"};
  MockScorer scorer("small");
  std::vector<Likelihoods> first;
  {
    ScoreCache cache(path);
    first = score_cached(scorer, cache, std::vector{item, other, item});
    EXPECT_EQ(scorer.scored, 2U);
    EXPECT_EQ(first[0].conditional, first[2].conditional);
  }
  Bytes bytes = read_file(path);
  bytes.resize(bytes.size() - 10);
  write_file_atomically(path, bytes);
  {
    ScoreCache cache(path);
    EXPECT_EQ(cache.size(), 1U);
    const auto again = score_cached(scorer, cache, std::vector{item, other});
    EXPECT_EQ(scorer.scored, 3U);
    EXPECT_EQ(again[1].conditional, first[1].conditional);
  }
  EXPECT_EQ(ScoreCache(path).size(), 2U);
  EXPECT_NE(score_key("small", item), score_key("large", item));
  write_file_atomically(path, as_bytes("{\"key\": 1}\n{}\n"));
  EXPECT_THROW(ScoreCache{path}, Error);
}

}  // namespace
}  // namespace kinglet::star_agents
