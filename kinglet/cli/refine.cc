// kinglet refine: instruction data becomes better instruction data (Star-Agents).
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/log.h"
#include "kinglet/base/progress.h"
#include "kinglet/base/table.h"
#include "kinglet/cli/command.h"
#include "kinglet/cli/endpoint_recipe.h"
#include "kinglet/cli/scorer_options.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/methods/star_agents/refine_run.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;
using star_agents::RefineRecipe;
using star_agents::SeedFile;

struct RefineArguments {
  std::string recipe, out, in_doubt = "resend";
  std::vector<std::string> sets;
  bool dry_run = false;
};

struct Plan {
  RefineRecipe recipe;
  EndpointRecipe endpoints;
  RecipeValue::Table resolved;
  std::string resolved_text;
};

Plan read_plan(const RefineArguments& arguments) {
  Recipe recipe = Recipe::load(arguments.recipe);
  for (const std::string& assignment : arguments.sets) recipe.set(assignment);
  RecipeReader reader(std::move(recipe));
  Plan plan;
  plan.recipe = star_agents::read_refine_recipe(reader.root());
  plan.endpoints = read_endpoints(reader.root());
  reader.finish();
  plan.resolved = reader.resolved();
  plan.resolved_text = reader.resolved_text();
  return plan;
}

double money_of(const Plan& plan, const std::string& model, const star_agents::ExpectedCalls& expected, bool& known) {
  for (const EndpointEntry& entry : plan.endpoints.endpoints) {
    if (entry.name == model && entry.local) return 0;
    if (entry.name != model || !entry.options.price) continue;
    return entry.options.price->of({.prompt = expected.prompt_tokens, .completion = expected.completion_tokens});
  }
  known = false;
  return 0;
}

int print_estimate(const Plan& plan, const SeedFile& seeds, const Globals& globals) {
  using Align = Table::Align;
  Table table({{"model"},
               {"for"},
               {"calls", Align::kRight},
               {"tokens in", Align::kRight},
               {"tokens out", Align::kRight},
               {"cost", Align::kRight}});
  nlohmann::json rows = nlohmann::json::array();
  double total = 0;
  std::int64_t calls = 0;
  bool all_known = true;
  for (const auto& [key, expected] : star_agents::expected_calls(plan.recipe, seeds.seeds)) {
    bool known = true;
    const double money = money_of(plan, key.first, expected, known);
    total += money;
    calls += expected.calls;
    all_known &= known;
    const std::string cost = known ? fmt::format("{:.2f} {}", money, plan.endpoints.currency) : "no price";
    table.add_row({key.first, key.second, fmt::format("{}", expected.calls), fmt::format("{}", expected.prompt_tokens),
                   fmt::format("{}", expected.completion_tokens), cost});
    rows.push_back({{"model", key.first},
                    {"role", key.second},
                    {"calls", expected.calls},
                    {"prompt_tokens", expected.prompt_tokens},
                    {"completion_tokens", expected.completion_tokens},
                    {"money", known ? nlohmann::json(money) : nlohmann::json()}});
  }
  if (globals.json) {
    print_json({{"seeds", seeds.seeds.size()},
                {"rejected", seeds.rejected.size()},
                {"duplicates", seeds.duplicates},
                {"calls", calls},
                {"money", all_known ? nlohmann::json(total) : nlohmann::json()},
                {"by_model", rows}});
    return 0;
  }
  std::cout << fmt::format("{} seeds ({} records rejected, {} duplicates)\n\n{}\nat most {} calls", seeds.seeds.size(),
                           seeds.rejected.size(), seeds.duplicates, table.to_text(), calls);
  if (all_known) std::cout << fmt::format(", about {:.2f} {}", total, plan.endpoints.currency);
  std::cout << "; nothing was called\n";
  return 0;
}

std::unique_ptr<star_agents::Scorer> make_scorer(const RefineRecipe& recipe, const std::string& model) {
  if (model.empty()) return nullptr;
  ScorerOptions options;
  options.model = model;
  options.window = recipe.score_window;
  options.unconditional = recipe.unconditional_context;
  return load_scorer(options);
}

// The recipe of the folder, so that it can be seen later what was run.
void keep_recipe(const fs::path& folder, const std::string& text) {
  fs::create_directories(folder);
  write_file_atomically(folder / "recipe.toml", as_bytes(text));
}

std::vector<std::pair<std::string, std::string>> facts_of(Endpoints& endpoints, bool shared) {
  const CallCosts total = endpoints.meter().total();
  const LedgerSummary ledger = endpoints.ledger_summary();
  return {{"calls", fmt::format("{} ({} from the ledger{})", total.calls, total.replayed,
                                shared ? " of the job" : " of an earlier start")},
          {"cost of this start", endpoints.cost_text()},
          {"requests in all", fmt::format("{}, {} sent again although the first may have been billed", ledger.attempts,
                                          ledger.resent_in_doubt)}};
}

int run_refine(const RefineArguments& arguments, const Globals& globals) {
  const Plan plan = read_plan(arguments);
  const SeedFile seeds = star_agents::read_seeds(plan.recipe.data, plan.recipe.seed_options);
  for (const std::string& warning : star_agents::check_settings(plan.recipe.settings)) log_warning("{}", warning);
  if (!seeds.rejected.empty()) {
    log_warning("{} records rejected; the first: {}", seeds.rejected.size(), seeds.rejected.front().reason);
  }
  if (arguments.dry_run) return print_estimate(plan, seeds, globals);

  const std::string name = fs::path(arguments.recipe).stem().string();
  const fs::path folder = arguments.out.empty() ? fs::path("runs") / name : fs::path(arguments.out);
  fs::create_directories(folder);
  Endpoints endpoints(plan.endpoints, folder / "calls.sqlite", star_agents::fingerprint_of(plan.resolved, seeds),
                      arguments.in_doubt == "skip" ? InDoubtPolicy::kSkip : InDoubtPolicy::kResend);
  keep_recipe(folder, plan.resolved_text);
  const auto small = make_scorer(plan.recipe, plan.recipe.small_scorer);
  const auto large = make_scorer(plan.recipe, plan.recipe.large_scorer);

  Progress progress("refine", seeds.seeds.size());
  std::size_t shown = 0;
  const auto on_progress = [&](std::size_t done, std::size_t open_calls) {
    progress.set_note(fmt::format("{}, {} calls open", endpoints.cost_text(), open_calls));
    if (done > shown) progress.advance(done - shown);
    shown = std::max(shown, done);
  };
  const star_agents::RunStatistics statistics = star_agents::run_in_folder(
      {plan.recipe, seeds, folder, "Refined: " + name,
       [&] { return facts_of(endpoints, plan.endpoints.job.has_value()); }, on_progress},
      {endpoints.models(), small.get(), large.get(), nullptr, nullptr, [&] { endpoints.stop_sending(); }});
  progress.finish();
  for (const std::string& warning : statistics.warnings()) log_warning("{}", warning);

  const CallCosts total = endpoints.meter().total();
  if (globals.json) {
    Json json = statistics.to_json();
    json["folder"] = folder.string();
    json["costs"] = endpoints.meter().to_json();
    json["calls"] = total.calls;
    json["replayed"] = total.replayed;
    json["requests"] = total.requests;
    std::cout << json.dump(2) << "\n";
    return 0;
  }
  std::cout << fmt::format(
      "seeds     {}: {} new answers, {} of the base, mean score {:.3f}\ncalls     {} ({} from {}), {}\n"
      "saved     {}\nreport    {}\n",
      statistics.seeds, statistics.seeds - statistics.base.wins, statistics.base.wins, statistics.composite.mean(),
      total.calls, total.replayed, plan.endpoints.job ? "other workers or an earlier start" : "an earlier start",
      endpoints.cost_text(), (folder / "refined.jsonl").string(), (folder / "report.html").string());
  return 0;
}

}  // namespace

void add_refine_command(CLI::App& app, const Globals& globals) {
  auto arguments = std::make_shared<RefineArguments>();
  CLI::App* command =
      add_command(app, "refine", "Better instruction data: several models answer, a judge and two scorers choose",
                  "kinglet refine refine.toml --dry-run    calls and cost; without it: run, or go on where it stopped",
                  [arguments, &globals] { return run_refine(*arguments, globals); });
  command->add_option("recipe", arguments->recipe, "The recipe (docs/star-agents.md has the keys)")
      ->required()
      ->type_name("FILE.toml");
  command->add_option("--out", arguments->out, "The run folder (runs/<name of the recipe>)")->type_name("FOLDER");
  command->add_option("--set", arguments->sets, "Change a key of the recipe; may be given again")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_flag("--dry-run", arguments->dry_run, "Print the calls and what they cost at most, and stop");
  command
      ->add_option("--in-doubt", arguments->in_doubt,
                   "Calls that were sent before and may have been billed: resend or skip (resend)")
      ->check(CLI::IsMember({"resend", "skip"}));
}

}  // namespace kinglet::cli
