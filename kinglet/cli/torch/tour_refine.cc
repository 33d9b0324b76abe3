#include "kinglet/cli/torch/tour_refine.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "kinglet/base/files.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/rng.h"
#include "kinglet/llm/scripted_model.h"
#include "kinglet/methods/star_agents/refine_run.h"
#include "kinglet/text/data_import.h"
#include "kinglet/text/documents.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using star_agents::Seed;
using star_agents::SeedFile;

struct SimulatedAgent {
  const char* name;
  double right;  // how often it gives the word's own definition; else that of another word
};
constexpr SimulatedAgent kAgents[] = {{"scholar", 0.85}, {"student", 0.6}, {"clerk", 0.45}, {"parrot", 0.25}};
constexpr double kSpoiled = 0.4;     // of the answers of the data
constexpr double kJudgeErrs = 0.15;  // of its comparisons

// What the dictionary says, by the question; the file that is refined has part of the answers exchanged.
struct DictionaryWords {
  std::map<std::string, std::string> answers;
  std::vector<std::string> all;  // answers to draw wrong ones from
  SeedFile seeds;
};

double drawn_chance(const std::string& text, std::uint64_t seed) { return Rng(seed ^ xxh3(as_bytes(text))).uniform(); }

const std::string& other_answer(const DictionaryWords& words, const std::string& key, const std::string& right,
                                std::uint64_t seed) {
  Rng rng(seed ^ xxh3(as_bytes("other/" + key)));
  const std::string* drawn = &words.all[rng.below(words.all.size())];
  while (*drawn == right) drawn = &words.all[rng.below(words.all.size())];
  return *drawn;
}

DictionaryWords prepare_words(const fs::path& folder, std::size_t count, std::uint64_t seed) {
  ImportOptions import;
  import.from = ImportSource::kWordNet;
  import.as = ImportForm::kInstructions;
  import.out = folder / "dictionary.jsonl";
  const std::uint64_t documents = import_data(import).files.at(0).documents;
  const std::uint64_t stride = std::max<std::uint64_t>(1, documents / count);
  DictionaryWords words;
  std::vector<Json> records;
  DocumentReader reader(import.out);
  for (std::uint64_t i = 0; const auto document = reader.next(); ++i) {
    if (i % stride != stride / 2 || records.size() == count) continue;
    const std::string question = document->messages[0]["content"], answer = document->messages[1]["content"];
    words.answers[question] = answer;
    words.all.push_back(answer);
    records.push_back({{"instruction", question}, {"input", ""}, {"output", answer}});
  }
  fs::remove(import.out);
  std::string lines;
  for (Json& record : records) {
    const std::string question = record["instruction"], right = record["output"];
    if (drawn_chance("spoiled/" + question, seed) < kSpoiled)
      record["output"] = other_answer(words, question, right, seed);
    lines += record.dump() + "\n";
  }
  write_file_atomically(folder / "seeds.jsonl", as_bytes(lines));
  words.seeds = star_agents::read_seeds(folder / "seeds.jsonl", {});
  return words;
}

// An agent: the word's own definition, or that of another word.
ScriptedModel::Script agent_script(const DictionaryWords& words, const SimulatedAgent& agent, std::uint64_t seed) {
  return [&words, agent, seed](const ChatRequest& request) {
    const std::string& question = request.messages.back().content;
    const std::string& right = words.answers.at(question);
    const std::string key = std::string(agent.name) + "/" + question;
    return reply_saying(drawn_chance(key, seed) < agent.right ? right : other_answer(words, key, right, seed));
  };
}

// The judge looks the word up, and errs.
ScriptedModel::Script judge_script(const DictionaryWords& words, std::uint64_t seed) {
  return [&words, seed](const ChatRequest& request) {
    const std::string& user = request.messages.back().content;
    const std::size_t second = user.find("<answer B");
    const std::string_view a = std::string_view(user).substr(0, second), b = std::string_view(user).substr(second);
    for (const auto& [question, answer] : words.answers) {
      if (user.find(question) == std::string::npos) continue;
      const bool a_right = a.find(answer) != std::string_view::npos, b_right = b.find(answer) != std::string_view::npos;
      bool first = a_right != b_right ? a_right : drawn_chance("tie/" + user, seed) < 0.5;
      if (drawn_chance("judge/" + user, seed) < kJudgeErrs) first = !first;
      return reply_saying(first ? "[[A]]" : "[[B]]");
    }
    return reply_saying("[[C]]");
  };
}

star_agents::RefineRecipe refine_settings(const SeedFile& seeds, std::uint64_t seed) {
  star_agents::RefineRecipe recipe;
  star_agents::Settings& settings = recipe.settings;
  settings.instruction_agents.emplace_back();
  for (const SimulatedAgent& agent : kAgents) {
    star_agents::ResponseAgent response;
    response.name = response.model = agent.name;
    settings.pairs.push_back({0, settings.response_agents.size()});
    settings.response_agents.push_back(response);
  }
  settings.judge = star_agents::JudgeSettings{"judge", true, {}};
  settings.fit = star_agents::Fit::kNone;
  settings.draw = {2, 0};
  settings.use_memory = false;
  settings.beta = 7.0 / static_cast<double>(seeds.seeds.size());
  settings.wave = 4;
  settings.run_seed = seed;
  return recipe;
}

double share_of_right(const DictionaryWords& words, const std::vector<std::string>& answers) {
  std::size_t right = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    right += answers[i] == words.answers.at(words.seeds.seeds[i].instruction());
  }
  return static_cast<double>(right) / static_cast<double>(std::max<std::size_t>(1, answers.size()));
}

struct RightShares {
  double data = 0, kept = 0, random = 0;
  std::vector<double> agents;
};

RightShares measure_shares(const DictionaryWords& words, const fs::path& refined, std::uint64_t seed) {
  RightShares shares;
  std::vector<std::string> data, kept;
  for (const Seed& one : words.seeds.seeds) data.push_back(one.response);
  DocumentReader reader(refined);
  while (const auto document = reader.next()) kept.push_back(document->messages.back()["content"]);
  shares.data = share_of_right(words, data);
  shares.kept = share_of_right(words, kept);
  for (const SimulatedAgent& agent : kAgents) {
    std::vector<std::string> answers;
    const auto script = agent_script(words, agent, seed);
    for (const Seed& one : words.seeds.seeds) {
      ChatRequest request;
      request.messages = one.context;
      answers.push_back(script(request).text);
    }
    shares.agents.push_back(share_of_right(words, answers));
    shares.random += shares.agents.back() / static_cast<double>(std::size(kAgents));
  }
  return shares;
}

std::string right_share(double share) { return fmt::format("{:.1f} %", 100 * share); }

}  // namespace

void run_refine_stop(const TourOptions& options, TourReport& report) {
  const fs::path folder = fs::path(options.output) / "refine";
  fs::create_directories(folder);
  const DictionaryWords words = prepare_words(folder, options.quick ? 120 : 600, options.seed);
  const star_agents::RefineRecipe recipe = refine_settings(words.seeds, options.seed);
  std::map<std::string, std::unique_ptr<ScriptedModel>> models;
  star_agents::RunModels run_models;
  const auto add = [&](const std::string& name, ScriptedModel::Script script) {
    models[name] = std::make_unique<ScriptedModel>(std::move(script), ScriptedModel::Options{.name = name});
    run_models.chat[name] = models[name].get();
  };
  for (const SimulatedAgent& agent : kAgents) add(agent.name, agent_script(words, agent, options.seed));
  add("judge", judge_script(words, options.seed));
  const star_agents::RunStatistics statistics =
      star_agents::run_in_folder({recipe, words.seeds, folder, "Refined dictionary answers", {}, {}}, run_models);
  const RightShares shares = measure_shares(words, folder / "refined.jsonl", options.seed);
  const auto best =
      static_cast<std::size_t>(std::max_element(shares.agents.begin(), shares.agents.end()) - shares.agents.begin());
  const std::vector<double>& p = statistics.history.back().probabilities;

  report.rows.push_back(
      {"Star-Agents",
       fmt::format("{} dictionary answers, {} of them right, refined by {} simulated agents and a judge that errs in "
                   "{:.0f} % of its comparisons",
                   statistics.seeds, right_share(shares.data), std::size(kAgents), 100 * kJudgeErrs),
       fmt::format("{} of the kept answers are right; the best agent is asked with p {:.2f}, from {:.2f}",
                   right_share(shares.kept), p[best], 1.0 / static_cast<double>(p.size())),
       fmt::format("an agent drawn at random gives {}, the best one alone {}", right_share(shares.random),
                   right_share(shares.agents[best])),
       "kinglet refine refine.toml"});

  TourSection section{"Star-Agents: better instruction data", {}, {}, {}, {}};
  section.paragraphs = {
      fmt::format(
          "Questions and answers are WordNet's; {:.0f} % of the answers were exchanged for those of other words "
          "before. Two agents a question are asked, by probabilities that follow their success; the judge sees "
          "each new answer beside the old one in both orders. It made {} comparisons. Agents and judge are "
          "simulated, so the figures show the method at work, not what a model can do.",
          100 * kSpoiled, statistics.judge_calls),
      fmt::format("The run's own report is {}.", (folder / "report.html").string())};
  TourTable table{{"answers", "right", "probability at the end"}, {}};
  table.rows.push_back({"of the data", right_share(shares.data), ""});
  for (std::size_t i = 0; i < shares.agents.size(); ++i) {
    table.rows.push_back({kAgents[i].name, right_share(shares.agents[i]), fmt::format("{:.2f}", p[i])});
  }
  table.rows.push_back({"kept by Star-Agents", right_share(shares.kept), ""});
  section.tables.push_back(std::move(table));
  report.sections.push_back(std::move(section));
  report.numbers["refine"] = {{"seeds", statistics.seeds},
                              {"data", shares.data},
                              {"random_agent", shares.random},
                              {"best_agent", shares.agents[best]},
                              {"kept", shares.kept},
                              {"best_probability", p[best]},
                              {"judge_calls", statistics.judge_calls}};
}

}  // namespace kinglet::cli
