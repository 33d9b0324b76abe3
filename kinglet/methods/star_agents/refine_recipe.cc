#include "kinglet/methods/star_agents/refine_recipe.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet::star_agents {
namespace {

constexpr IntegerRange kCount{0, 1'000'000'000};

Sampling read_sampling(RecipeTable& table, double temperature, double top_p, std::int64_t max_tokens) {
  Sampling sampling;
  sampling.temperature = table.number("temperature", temperature, between(0, 10));
  sampling.top_p = table.number("top_p", top_p, between(0, 1));
  sampling.max_tokens = table.integer("max_tokens", max_tokens, {1, 1'000'000});
  if (!table.has("stop")) return sampling;
  sampling.stop = table.texts("stop", {});
  for (const std::string& stop : sampling.stop) {
    if (stop.empty()) throw table.refuse("stop", "an empty text would end everything at once");
  }
  return sampling;
}

void read_data(RecipeTable root, RefineRecipe& recipe) {
  const std::vector<std::string> formats{"auto", "alpaca", "sharegpt", "messages"};
  RecipeTable data = root.table("data");
  recipe.data = data.need_path("path");
  recipe.seed_options.format = *format_of_name(data.choice("format", "auto", formats));
  recipe.seed_options.keep_duplicates = data.choice("duplicates", "first", {"first", "keep"}) == "keep";
  recipe.seed_options.single_turn = data.boolean("single_turn", false);
  recipe.seed_options.strict = data.boolean("strict", false);
  recipe.seed_options.limit = static_cast<std::size_t>(data.integer("limit", 0, kCount));
  RecipeTable output = root.table("output");
  recipe.output_format = *format_of_name(output.choice("format", "auto", formats));
  recipe.provenance = output.boolean("provenance", true);
}

void read_agents(RecipeTable root, Settings& settings) {
  settings.instruction_agents.push_back({});  // the identity
  for (RecipeTable& table : root.tables("instruction_agent")) {
    InstructionAgent agent;
    agent.name = table.need_text("name");
    agent.model = table.need_text("model");
    agent.prompt = table.text("prompt", "");
    agent.rewriting = *rewriting_of_name(table.choice("rewriting", "any", rewriting_names()));
    agent.sampling = read_sampling(table, 1, 0.95, 2048);
    settings.instruction_agents.push_back(std::move(agent));
  }
  for (RecipeTable& table : root.tables("response_agent")) {
    ResponseAgent agent;
    agent.name = table.need_text("name");
    agent.model = table.text("model", agent.name);
    agent.system = table.text("system", "");
    agent.prompt = table.text("prompt", "");
    agent.licence = table.text("licence", "");
    agent.sampling = read_sampling(table, 0.7, 0.95, 1024);
    settings.response_agents.push_back(std::move(agent));
  }
}

template <typename Agent>
void check_names(const std::vector<Agent>& agents) {
  for (std::size_t i = 0; i < agents.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (agents[i].name == agents[j].name) {
        throw bad_input("", fmt::format("two agents are called '{}'", agents[i].name), "give each a name of its own");
      }
    }
  }
}

template <typename Agent>
std::size_t find_agent(const std::vector<Agent>& agents, const std::string& name, const RecipeTable& table,
                       std::string_view key) {
  const auto found = std::find_if(agents.begin(), agents.end(), [&](const Agent& one) { return one.name == name; });
  if (found == agents.end()) throw table.refuse(key, fmt::format("there is no agent '{}'", name));
  return static_cast<std::size_t>(found - agents.begin());
}

void read_pairs(RecipeTable root, Settings& settings) {
  for (RecipeTable& table : root.tables("pair")) {
    const std::string instruction = table.text("instruction", "identity"), response = table.need_text("response");
    settings.pairs.push_back({find_agent(settings.instruction_agents, instruction, table, "instruction"),
                              find_agent(settings.response_agents, response, table, "response")});
  }
  RecipeTable base = root.table("base");
  const std::string source = base.text("from", "seed");
  if (source != "seed") settings.base_agent = find_agent(settings.response_agents, source, base, "from");
  settings.base_competes = base.boolean("competes", true);
  if (!settings.pairs.empty()) return;
  // Every combination, but the base agent alone.
  for (std::size_t i = 0; i < settings.instruction_agents.size(); ++i) {
    for (std::size_t j = 0; j < settings.response_agents.size(); ++j) {
      if (i > 0 || settings.base_agent != j) settings.pairs.push_back({i, j});
    }
  }
}

void read_judge(RecipeTable root, Settings& settings) {
  if (!root.has("judge")) return;
  RecipeTable table = root.table("judge");
  JudgeSettings judge;
  judge.model = table.need_text("model");
  judge.both_orders = table.boolean("both_orders", true);
  judge.sampling = read_sampling(table, 0, 1, 2048);
  settings.lazy_judging = table.boolean("lazy", true);
  settings.judge = std::move(judge);
}

void read_fit(RecipeTable root, RefineRecipe& recipe) {
  RecipeTable table = root.table("fit");
  const bool scorers = table.has("small");
  const std::string by = table.choice("by", scorers ? "dual" : "none", {"dual", "ifd", "none"});
  recipe.settings.fit = by == "dual" ? Fit::kDual : by == "ifd" ? Fit::kIfd : Fit::kNone;
  if (by != "none") recipe.small_scorer = table.need_path("small").string();
  if (by == "dual") recipe.large_scorer = table.need_path("large").string();
  recipe.settings.dual.raw = table.boolean("raw", false);
  recipe.settings.dual.unit =
      table.choice("unit", "token", {"token", "byte"}) == "byte" ? IfdUnit::kByte : IfdUnit::kToken;
  recipe.unconditional_context = table.choice("unconditional", "bos", {"bos", "template", "none"});
  recipe.score_window = static_cast<std::size_t>(table.integer("window", 2048, {2, 1'000'000}));
}

void read_sampling_of_pairs(RecipeTable root, RefineRecipe& recipe) {
  Settings& settings = recipe.settings;
  RecipeTable table = root.table("sampling");
  const auto standard =
      static_cast<std::int64_t>(std::min<std::size_t>(5, std::max<std::size_t>(1, settings.pairs.size())));
  settings.draw.samples = static_cast<std::size_t>(table.integer("samples", standard, {1, 10'000}));
  settings.use_memory = table.boolean("memory", true);
  const auto retrieved = std::min<std::int64_t>(2, static_cast<std::int64_t>(settings.draw.samples));
  settings.draw.retrieved = static_cast<std::size_t>(table.integer("retrieved", retrieved, {0, 10'000}));
  if (!settings.use_memory) settings.draw.retrieved = 0;
  settings.memory.neighbours = static_cast<std::size_t>(table.integer("neighbours", 10, {1, 10'000}));
  settings.memory.threshold = table.number("threshold", 0.5, between(0, 1));
  recipe.embedding_dimension = static_cast<std::size_t>(table.integer("embedding_dimension", 512, {16, 65'536}));
  settings.beta = table.number("beta", 1e-4, above(0));
  settings.floor = table.number("floor", 0, from_up_to(0, 1));
  settings.reward_all = table.choice("reward", "winner", {"winner", "all"}) == "all";
}

}  // namespace

RefineRecipe read_refine_recipe(RecipeTable root) {
  RefineRecipe recipe;
  read_data(root, recipe);
  read_agents(root, recipe.settings);
  check_names(recipe.settings.instruction_agents);
  check_names(recipe.settings.response_agents);
  if (recipe.settings.response_agents.empty()) {
    throw root.refuse("response_agent", "no agent answers", "add [[response_agent]] tables");
  }
  read_pairs(root, recipe.settings);
  read_judge(root, recipe.settings);
  read_fit(root, recipe);
  read_sampling_of_pairs(root, recipe);
  RecipeTable run = root.table("run");
  recipe.settings.run_seed = static_cast<std::uint64_t>(run.integer("seed", 0, {0, INT64_MAX}));
  recipe.settings.wave = static_cast<std::size_t>(run.integer("wave", 64, {1, 1'000'000}));
  recipe.settings.lag = static_cast<std::size_t>(run.integer("lag", 1, {0, 1000}));
  recipe.expected_answer_tokens = static_cast<std::size_t>(run.integer("expected_answer_tokens", 0, kCount));
  check_settings(recipe.settings);
  return recipe;
}

std::string fingerprint_of(const RecipeValue::Table& resolved, const SeedFile& seeds) {
  RecipeValue::Table kept = resolved;
  kept.erase("budget");
  kept.erase("output");
  kept.erase("job");
  if (const auto run = kept.find("run"); run != kept.end()) run->second.table().erase("expected_answer_tokens");
  if (const auto data = kept.find("data"); data != kept.end()) data->second.table().erase("path");
  if (const auto models = kept.find("model"); models != kept.end()) {
    for (RecipeValue& model : std::get<RecipeValue::List>(models->second.content)) {
      std::erase_if(model.table(), [](const auto& item) { return item.first != "name" && item.first != "model"; });
    }
  }
  return recipe_text(kept) + fmt::format("# data {} of {} seeds\n", seeds.digest, seeds.seeds.size());
}

}  // namespace kinglet::star_agents
