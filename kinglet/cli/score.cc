// kinglet score ifd: how much an instruction helps a model to find its response (IFD), record by record.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/log.h"
#include "kinglet/base/progress.h"
#include "kinglet/cli/command.h"
#include "kinglet/cli/scorer_options.h"
#include "kinglet/methods/star_agents/score_cache.h"
#include "kinglet/methods/star_agents/seeds.h"

namespace kinglet::cli {
namespace {

using star_agents::Likelihoods;
using star_agents::SeedFile;

constexpr std::size_t kTogether = 64;

struct ScoreArguments {
  std::string data, out, select, large;
  ScorerOptions scorer;
  double share = 0.1;
};

std::vector<Likelihoods> score_seeds(const SeedFile& file, const ScorerOptions& options, star_agents::ScoreCache* cache,
                                     const std::string& label) {
  const auto scorer = load_scorer(options);
  Progress progress(label, file.seeds.size());
  std::vector<Likelihoods> all;
  for (std::size_t begin = 0; begin < file.seeds.size(); begin += kTogether) {
    std::vector<star_agents::ScoreItem> items;
    for (std::size_t i = begin; i < std::min(file.seeds.size(), begin + kTogether); ++i) {
      items.push_back({file.seeds[i].context, file.seeds[i].response});
    }
    const std::vector<Likelihoods> some =
        cache != nullptr ? star_agents::score_cached(*scorer, *cache, items) : scorer->score(items);
    all.insert(all.end(), some.begin(), some.end());
    progress.advance(items.size());
  }
  return all;
}

void add_likelihoods(Json& json, const std::string& prefix, const Likelihoods& one) {
  json[prefix + "status"] = star_agents::name_of(one.status);
  if (const auto ifd = star_agents::ifd_perplexity(one)) {
    json[prefix + "loss_conditional"] = one.conditional;
    json[prefix + "loss_unconditional"] = one.unconditional;
    json[prefix + "tokens"] = one.tokens;
    json[prefix + "ifd_ppl"] = *ifd;
    if (const auto ratio = star_agents::ifd_loss(one)) json[prefix + "ifd_loss"] = *ratio;
  }
  if (one.truncated) json[prefix + "truncated"] = true;
}

// The records with the highest IFD below 1: hard to guess, yet the instruction helps.
void select_records(const ScoreArguments& arguments, const SeedFile& file, const std::vector<Likelihoods>& scores) {
  std::vector<std::pair<double, std::size_t>> ranked;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (const auto ifd = star_agents::ifd_perplexity(scores[i]); ifd && *ifd < 1) ranked.emplace_back(-*ifd, i);
  }
  std::sort(ranked.begin(), ranked.end());
  const auto count = static_cast<std::size_t>(std::lround(arguments.share * static_cast<double>(file.seeds.size())));
  ranked.resize(std::min(ranked.size(), count));
  std::vector<std::size_t> chosen;
  for (const auto& one : ranked) chosen.push_back(one.second);
  std::sort(chosen.begin(), chosen.end());
  std::string lines;
  for (const std::size_t i : chosen) lines += file.seeds[i].record.dump() + "\n";
  write_file_atomically(arguments.select, as_bytes(lines));
}

int run_ifd(const ScoreArguments& arguments, const Globals& globals) {
  star_agents::SeedOptions options;
  options.keep_duplicates = true;
  const SeedFile file = star_agents::read_seeds(arguments.data, options);
  std::optional<star_agents::ScoreCache> cache;
  if (!arguments.out.empty()) cache.emplace(arguments.out + ".scores");
  star_agents::ScoreCache* kept = cache ? &*cache : nullptr;
  const std::vector<Likelihoods> scores = score_seeds(file, arguments.scorer, kept, "score");
  std::vector<Likelihoods> large;
  if (!arguments.large.empty()) {
    ScorerOptions other = arguments.scorer;
    other.model = arguments.large;
    large = score_seeds(file, other, kept, "score, large");
  }
  std::string lines;
  double sum = 0;
  std::size_t scored = 0, below_one = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    Json json = {{"line", file.seeds[i].line}, {"seed_id", file.seeds[i].id}};
    add_likelihoods(json, "", scores[i]);
    if (!large.empty()) {
      add_likelihoods(json, "large_", large[i]);
      if (const auto gap = star_agents::ifd_gap(scores[i], large[i])) json["gap"] = *gap;
    }
    lines += json.dump() + "\n";
    if (const auto ifd = star_agents::ifd_perplexity(scores[i])) {
      ++scored;
      sum += *ifd;
      below_one += *ifd < 1;
    }
  }
  if (!arguments.out.empty()) write_file_atomically(arguments.out, as_bytes(lines));
  if (!arguments.select.empty()) select_records(arguments, file, scores);
  if (!file.rejected.empty()) {
    log_warning("{} records rejected; the first: {}", file.rejected.size(), file.rejected.front().reason);
  }
  const double mean = scored > 0 ? sum / static_cast<double>(scored) : 0;
  if (globals.json) {
    print_json({{"records", scores.size()},
                {"scored", scored},
                {"rejected", file.rejected.size()},
                {"mean_ifd", mean},
                {"below_one", below_one}});
  } else if (arguments.out.empty() && arguments.select.empty()) {
    std::cout << lines;
  } else {
    std::cout << fmt::format("{} records, {} scored, mean IFD {:.3f}, {} below 1\n", scores.size(), scored, mean,
                             below_one);
  }
  return 0;
}

}  // namespace

void add_score_command(CLI::App& app, const Globals& globals) {
  CLI::App* score = add_command(app, "score", "Scores of instruction data by a language model",
                                "kinglet score ifd data.jsonl --model pythia-160m --out scores.jsonl", nullptr);
  score->require_subcommand(1);
  auto arguments = std::make_shared<ScoreArguments>();
  arguments->scorer.batched = true;
  CLI::App* ifd =
      add_command(*score, "ifd", "IFD: the perplexity of each response with its instruction over that without",
                  "kinglet score ifd data.jsonl --model pythia-160m --select hard.jsonl --share 0.1",
                  [arguments, &globals] { return run_ifd(*arguments, globals); });
  ifd->add_option("data", arguments->data, "Instruction data: alpaca, sharegpt or messages")
      ->required()
      ->type_name("FILE");
  ifd->add_option("--model", arguments->scorer.model, "The scorer, a model folder")->required()->type_name("FOLDER");
  ifd->add_option("--large", arguments->large, "A larger scorer too: the gap of both")->type_name("FOLDER");
  ifd->add_option("--out", arguments->out, "JSON lines, one a record (stdout)")->type_name("FILE");
  ifd->add_option("--select", arguments->select, "Write the records with the highest IFD below 1")->type_name("FILE");
  ifd->add_option("--share", arguments->share, "How many of all to select (0.1)")->check(CLI::Range(0.0, 1.0));
  ifd->add_option("--window", arguments->scorer.window, "Tokens that the scorer sees (2048)")
      ->check(CLI::Range(2, 1'000'000));
  ifd->add_option("--unconditional", arguments->scorer.unconditional,
                  "What stands before a response without its instruction: bos, template or none (bos)")
      ->check(CLI::IsMember({"bos", "template", "none"}));
  ifd->add_flag("--plain", arguments->scorer.plain, "The instruction and a line end, in place of the chat template");
}

}  // namespace kinglet::cli
