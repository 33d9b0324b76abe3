#include "kinglet/methods/star_agents/refine_run.h"

#include <cstdlib>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/methods/star_agents/mock_world.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"

namespace kinglet::star_agents {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::TemporaryFolder;

std::string text_in(const std::filesystem::path& path) { return std::string(as_text(read_file(path))); }

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

TEST(RunInFolder, WritesEveryFile) {
  const TemporaryFolder temporary;
  RefineRecipe recipe;
  recipe.settings = mock_settings();
  recipe.settings.response_agents[3].licence = "apache-2.0";
  SeedFile seeds;
  seeds.format = DocumentFormat::kAlpaca;
  seeds.seeds = mock_seeds(300);
  seeds.rejected.push_back({7, "seeds:7: broken"});
  MockWorld world(recipe.settings);
  world.add("agent1", [](const ChatRequest& request) {
    return number_of(request.slot) < 0.3 ? reply_saying("Sorry, no.") : mock_answer("agent1", 0.3, request);
  });
  const std::filesystem::path folder = temporary.path() / "run";
  std::size_t last_done = 0;
  const RunStatistics statistics =
      run_in_folder({recipe, seeds, folder, "A <run>",
                     [] { return std::vector{std::pair<std::string, std::string>("cost", "1 & 2")}; },
                     [&](std::size_t done, std::size_t) { last_done = done; }},
                    {world.chat(), &world.small, &world.large, nullptr, nullptr, {}});
  EXPECT_EQ(statistics.seeds, 300U);
  EXPECT_EQ(last_done, 300U);
  const std::vector<Json> refined = lines_of(text_in(folder / "refined.jsonl"));
  ASSERT_EQ(refined.size(), 300U);
  std::size_t licences = 0;
  for (std::size_t i = 0; i < refined.size(); ++i) {
    EXPECT_EQ(refined[i]["instruction"], seeds.seeds[i].instruction());
    EXPECT_EQ(refined[i]["provenance"]["seed_id"], seeds.seeds[i].id);
    licences += refined[i]["provenance"].contains("licence");
  }
  EXPECT_EQ(licences, statistics.pairs[3].wins);
  const std::vector<Json> candidates = lines_of(text_in(folder / "candidates.jsonl"));
  EXPECT_EQ(candidates.size(), 300U * 5);
  std::size_t chosen = 0;
  for (const Json& one : candidates) chosen += one["chosen"] == true;
  EXPECT_EQ(chosen, 300U);
  EXPECT_EQ(lines_of(text_in(folder / "rejected.jsonl"))[0]["line"], 7);
  EXPECT_THAT(text_in(folder / "p_history.csv"), HasSubstr("seeds,agent0,agent1"));
  EXPECT_EQ(Json::parse(text_in(folder / "summary.json"))["problems"]["refusal"], statistics.problems.at("refusal"));
  EXPECT_THAT(text_in(folder / "report.html"), AllOf(HasSubstr("A &lt;run&gt;"), HasSubstr("1 &amp; 2"),
                                                     HasSubstr("refusal"), Not(HasSubstr("<script"))));
  if (const char* keep = std::getenv("KINGLET_KEEP_REPORT")) {
    write_file_atomically(keep, read_file(folder / "report.html"));
  }
}

TEST(ExpectedCalls, CountsWhatASeedAsksFor) {
  RefineRecipe recipe;
  recipe.settings = mock_settings();
  const std::vector<Seed> seeds = mock_seeds(100);
  std::int64_t answers = 0;
  for (const auto& [key, one] : expected_calls(recipe, seeds)) {
    if (key.second == "answer") answers += one.calls;
    EXPECT_TRUE(key.second != "judge" || one.calls == 100 * 2 * 4);
    EXPECT_GT(one.prompt_tokens, 0);
  }
  EXPECT_NEAR(static_cast<double>(answers), 100 * (4 + 1), 6);
}

TEST(RefineRecipe, ReadsAgentsAndMakesEveryPair) {
  RecipeReader reader(Recipe::parse(R"(
[data]
path = "seeds.jsonl"
[[response_agent]]
name = "one"
temperature = 0.2
[[response_agent]]
name = "two"
model = "one"
[[instruction_agent]]
name = "harder"
model = "one"
rewriting = "deepen"
[base]
from = "one"
[judge]
model = "one"
[sampling]
samples = 2
)",
                                    "recipe.toml"));
  const RefineRecipe recipe = read_refine_recipe(reader.root());
  reader.finish();
  EXPECT_EQ(recipe.settings.pairs.size(), 3U);  // two; harder+one, harder+two
  EXPECT_EQ(pair_name(recipe.settings, 1), "harder+one");
  EXPECT_EQ(recipe.settings.fit, Fit::kNone);
  EXPECT_EQ(*recipe.settings.response_agents[0].sampling.temperature, 0.2);
  EXPECT_FALSE(check_settings(recipe.settings).empty());  // the judge is also a generator
  SeedFile seeds;
  EXPECT_THAT(fingerprint_of(reader.resolved(), seeds), AllOf(HasSubstr("deepen"), Not(HasSubstr("seeds.jsonl"))));
}

}  // namespace
}  // namespace kinglet::star_agents
