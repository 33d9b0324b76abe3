// kinglet judge: two files of answers to the same instructions, compared by a model.
#include <array>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/progress.h"
#include "kinglet/cli/command.h"
#include "kinglet/cli/endpoint_recipe.h"
#include "kinglet/methods/star_agents/judge_run.h"

namespace kinglet::cli {
namespace {

using star_agents::Comparison;
using star_agents::ComparisonResult;
using star_agents::Seed;
using star_agents::SeedFile;

struct JudgeArguments {
  std::string base, candidate, out, model, base_url, key_variable;
  int in_flight = 16;
  std::int64_t max_tokens = 2048;
  bool one_order = false;
};

SeedFile read_answers(const std::string& path) {
  star_agents::SeedOptions options;
  options.keep_duplicates = true;
  return star_agents::read_seeds(path, options);
}

std::vector<Comparison> pair_up(const SeedFile& base, const SeedFile& candidate) {
  std::unordered_map<std::string, const Seed*> by_id;
  for (const Seed& seed : base.seeds) by_id[seed.id] = &seed;
  std::vector<Comparison> comparisons;
  for (const Seed& seed : candidate.seeds) {
    const auto found = by_id.find(seed.id);
    if (found == by_id.end()) continue;
    comparisons.push_back(
        {seed.id, {found->second->instruction(), found->second->response}, {seed.instruction(), seed.response}});
  }
  return comparisons;
}

std::string verdict_word(const std::optional<star_agents::Verdict>& verdict, bool candidate_first) {
  if (!verdict) return "none";
  const double score = star_agents::judge_score(*verdict, candidate_first);
  return score == 1 ? "win" : score == 0 ? "loss" : "tie";
}

int run_judge(const JudgeArguments& arguments, const Globals& globals) {
  const SeedFile base = read_answers(arguments.base), candidate = read_answers(arguments.candidate);
  const std::vector<Comparison> comparisons = pair_up(base, candidate);
  if (comparisons.empty()) {
    throw bad_input(arguments.candidate, "no instruction is in both files", "compare answers to the same instructions");
  }
  EndpointRecipe recipe;
  EndpointEntry entry;
  entry.name = entry.options.model = entry.options.identity = arguments.model;
  entry.options.base_url = arguments.base_url;
  entry.options.admission.max_in_flight = arguments.in_flight;
  entry.key_variable = arguments.key_variable;
  recipe.endpoints.push_back(entry);
  Endpoints endpoints(recipe, arguments.out + ".calls",
                      fmt::format("judge {} {} {}", arguments.model, base.digest, candidate.digest),
                      InDoubtPolicy::kResend);
  star_agents::JudgeSettings settings;
  settings.model = arguments.model;
  settings.both_orders = !arguments.one_order;
  settings.sampling = {0.0, std::nullopt, arguments.max_tokens};
  Progress progress("judge", comparisons.size());
  const std::vector<ComparisonResult> results =
      star_agents::judge_all(*endpoints.models().at(arguments.model), comparisons, settings, 0, [&] {
        progress.set_note(endpoints.cost_text());
        progress.advance(1);
      });
  progress.finish();
  std::array<std::size_t, 4> counts{};  // losses, ties, wins, without verdict
  std::string lines;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const ComparisonResult& one = results[i];
    Json json = {{"seed_id", comparisons[i].id},
                 {"shown_first", verdict_word(one.shown_first, true)},
                 {"shown_second", verdict_word(one.shown_second, false)}};
    json["score"] = one.score ? Json(*one.score) : Json();
    lines += json.dump() + "\n";
    ++counts[one.score ? static_cast<std::size_t>(2 * *one.score) : 3];
  }
  write_file_atomically(arguments.out, as_bytes(lines));
  if (globals.json) {
    print_json({{"compared", results.size()},
                {"wins", counts[2]},
                {"ties", counts[1]},
                {"losses", counts[0]},
                {"no_verdict", counts[3]}});
  } else {
    std::cout << fmt::format("{} compared: the candidate wins {}, loses {}, {} ties, {} without a verdict ({})\n",
                             results.size(), counts[2], counts[0], counts[1], counts[3], endpoints.cost_text());
  }
  return 0;
}

}  // namespace

void add_judge_command(CLI::App& app, const Globals& globals) {
  auto arguments = std::make_shared<JudgeArguments>();
  CLI::App* command = add_command(
      app, "judge", "Compare two files of answers with a model, in both orders; called again, it goes on",
      "kinglet judge old.jsonl new.jsonl --model qwen --base-url http://127.0.0.1:8080/v1 --out verdicts.jsonl",
      [arguments, &globals] { return run_judge(*arguments, globals); });
  command->add_option("base", arguments->base, "Answers to compare with")->required()->type_name("FILE");
  command->add_option("candidate", arguments->candidate, "Answers to the same instructions")
      ->required()
      ->type_name("FILE");
  command->add_option("--model", arguments->model, "The judge's name at its endpoint")->required()->type_name("NAME");
  command->add_option("--base-url", arguments->base_url, "The endpoint")->required()->type_name("URL");
  command->add_option("--key-env", arguments->key_variable, "The environment variable with the key")->type_name("NAME");
  command->add_option("--out", arguments->out, "JSON lines, one a comparison; FILE.calls beside it keeps the replies")
      ->required()
      ->type_name("FILE");
  command->add_option("--in-flight", arguments->in_flight, "Calls at once, at most (16)")->check(CLI::Range(1, 10000));
  command->add_option("--max-tokens", arguments->max_tokens, "Of a reply (2048)")->check(CLI::Range(1, 1000000));
  command->add_flag("--one-order", arguments->one_order, "Ask once a comparison, in a drawn order: half the calls");
}

}  // namespace kinglet::cli
