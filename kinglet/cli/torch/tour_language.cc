#include "kinglet/cli/torch/tour_language.h"

#include <cmath>
#include <csignal>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/progress.h"
#include "kinglet/cli/torch/lm_tiny_recipe.h"
#include "kinglet/cli/torch/tour_child.h"
#include "kinglet/io/loss_curve.h"
#include "kinglet/io/metrics.h"
#include "kinglet/methods/excp/store.h"
#include "kinglet/models/decoder/generation.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/text/token_corpus.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Stop {
  fs::path folder, run;
  std::vector<std::string> arguments;  // of kinglet train
  std::int64_t steps = 0, kill_at = 0;
};

Stop prepare_stop(const TourOptions& options) {
  Stop stop;
  stop.folder = fs::path(options.output) / "language";
  stop.run = stop.folder / "run";
  fs::create_directories(stop.folder);
  const fs::path recipe = stop.folder / "lm-tiny.toml";
  write_file_atomically(recipe, as_bytes(kLmTinyRecipe));
  stop.steps = options.quick ? 24 : 320;
  stop.kill_at = stop.steps * 5 / 8;
  stop.arguments = {"--json", "train", recipe.string(), "--out", stop.run.string()};
  // A minute's worth: the smaller vocabulary and batch learn the most in so few tokens.
  for (const std::string& change :
       {fmt::format("seed={}", options.seed), fmt::format("training.steps={}", stop.steps),
        std::string("training.batch=8"), std::string("data.tokens=128"), std::string("tokenizer.vocabulary_size=4096"),
        fmt::format("schedule.warm_up_steps={}", stop.steps / 16), fmt::format("evaluation.every={}", stop.steps / 4),
        fmt::format("checkpoints.every={}", stop.steps / 8)}) {
    stop.arguments.insert(stop.arguments.end(), {"--set", change});
  }
  return stop;
}

std::int64_t last_step(const fs::path& metrics) {
  if (!fs::exists(metrics)) return 0;
  const auto lines = read_metrics(metrics);
  return lines.empty() ? 0 : lines.back().step;
}

struct Training {
  std::int64_t killed_at = 0;  // 0: it ended before
  std::optional<double> loss_when_killed;
  json summary;  // of the second process
};

Training train(const Stop& stop) {
  Training training;
  const fs::path metrics = stop.run / "metrics.jsonl", out = stop.folder / "train.json";
  TourChild first(stop.arguments, out);
  if (first.kill_when([&] { return last_step(metrics) >= stop.kill_at; })) {
    training.killed_at = last_step(metrics);
    for (const MetricsLine& line : read_metrics(metrics)) {
      if (const auto loss = line.value("loss")) training.loss_when_killed = loss;
    }
  } else if (first.wait() != 0) {
    throw failed("kinglet train", "ended with an error", "its message is above");
  }
  TourChild second(stop.arguments, out);
  if (second.wait() != 0) throw failed("kinglet train", "did not go on after it was killed", "its message is above");
  training.summary = json::parse(as_text(read_file(out)));
  return training;
}

// Mean negative log-likelihood of the validation tokens under the frequencies of the training tokens (each counted once
// more): what a model that knows no order reaches.
double loss_of_frequencies(const fs::path& run) {
  const TokenCorpus training = TokenCorpus::open(run / "data" / "train.tokens");
  const TokenCorpus validation = TokenCorpus::open(run / "data" / "validation.tokens");
  std::vector<double> counts(static_cast<std::size_t>(training.vocabulary_size()), 1.0);
  std::vector<TokenId> tokens;
  const auto for_each_token = [&tokens](const TokenCorpus& corpus, const auto& take) {
    for (std::uint64_t document = 0; document < corpus.documents(); ++document) {
      tokens.clear();
      corpus.read(document, 0, corpus.length(document), tokens);
      for (const TokenId token : tokens) take(static_cast<std::size_t>(token));
    }
  };
  double total = static_cast<double>(counts.size());
  for_each_token(training, [&](std::size_t token) { counts[token] += 1, total += 1; });
  double loss = 0;
  for_each_token(validation, [&](std::size_t token) { loss -= std::log(counts[token] / total); });
  return loss / static_cast<double>(std::max<std::uint64_t>(1, validation.tokens()));
}

std::string define(const fs::path& model, const std::string& prompt, std::uint64_t seed) {
  const auto decoder = load_decoder(model);
  const auto tokenizer = Tokenizer::load(model);
  GenerationOptions options;
  options.max_tokens = 60;
  options.choice.temperature = 0.7;
  options.choice.top_p = 0.9;
  options.choice.seed = seed;
  if (const auto eos = tokenizer->eos()) options.eos = {*eos};
  const auto result = generate(*decoder, {tokenizer->encode(prompt)}, options);
  return prompt + tokenizer->decode(result[0].tokens);
}

struct Stored {
  std::uint64_t original = 0, stored = 0;
  std::size_t checkpoints = 0;
  double last_delta = 0.0;  // ratio of the last checkpoint alone
};

Stored measure_store(const fs::path& path) {
  Stored total;
  const excp::Store store = excp::Store::open(path, excp::Store::Access::kRead);
  for (const excp::StepInfo& step : store.steps()) {
    total.original += step.original_bytes;
    total.stored += step.stored_bytes;
    total.last_delta = static_cast<double>(step.original_bytes) / static_cast<double>(step.stored_bytes);
    ++total.checkpoints;
  }
  return total;
}

}  // namespace

void run_language_stop(const TourOptions& options, TourReport& report) {
  const Stop stop = prepare_stop(options);
  const Training training = train(stop);
  const json& summary = training.summary;
  const double loss = summary["eval_loss"], frequencies = loss_of_frequencies(stop.run);
  const double untrained = std::log(summary["vocabulary_size"].get<double>());
  const Stored stored = measure_store(stop.run / "checkpoints.store");
  const double ratio = static_cast<double>(stored.original) / static_cast<double>(stored.stored);
  const std::string text = define(stop.run / "model", "Lantern (noun)\n1. ", options.seed);

  report.rows.push_back(
      {"Language core",
       fmt::format("a Llama of {:.1f} M parameters learns {:.1f} M tokens of a dictionary for {} steps; killed (-9) at "
                   "step {}, it goes on from step {} of its ExCP store",
                   summary["parameters"].get<double>() * 1e-6, summary["training_tokens"].get<double>() * 1e-6,
                   stop.steps, training.killed_at, summary["first_step"].get<std::int64_t>()),
       fmt::format("validation loss {:.2f} -> {:.2f}, {:.0f} tokens/s; {} checkpoints {:.1f}x smaller ({:.0f}x for a "
                   "further one)",
                   untrained, loss, summary["tokens_per_second"].get<double>(), stored.checkpoints, ratio,
                   stored.last_delta),
       fmt::format("the frequencies of tokens alone reach {:.2f}", frequencies), "kinglet train recipes/lm-tiny.toml"});

  TourSection section{"Language core: a model learns a dictionary", {}, {}, {}, {}};
  section.paragraphs = {
      fmt::format("The first process was killed with SIGKILL at step {}{}; the second one read the newest checkpoint, "
                  "step {}, from the store and went on. Everything is in {}.",
                  training.killed_at,
                  training.loss_when_killed ? fmt::format(" (training loss {:.2f})", *training.loss_when_killed) : "",
                  summary["first_step"].get<std::int64_t>(), stop.run.string()),
      "What it writes by now, from the headword on:"};
  section.quote = text;
  const auto lines = read_metrics(stop.run / "metrics.jsonl");
  LossCurveNames names;
  section.plots.push_back(loss_curve_svg(lines, "lm-tiny on GCIDE", names));
  report.sections.push_back(section);
  report.numbers["language"] = summary;
  report.numbers["language"]["killed_at"] = training.killed_at;
  report.numbers["language"]["frequency_loss"] = frequencies;
  report.numbers["language"]["checkpoint_ratio"] = ratio;
  report.numbers["language"]["last_delta_ratio"] = stored.last_delta;
  report.numbers["language"]["definition"] = text;
}

}  // namespace kinglet::cli
