// Does a small MemoryFormer learn, and which of its parts matter? Validation loss in nats a byte on a text, for arms of
// equal text, batches (16 x 64 bytes), steps and seeds; by default d = 64, 2 layers, 4 heads.
//
//   kinglet data import --from gcide --out words.jsonl
//   build/bench/memoryformer_quality words.jsonl --out FOLDER [--steps 400] [--seeds 3] [--arms dense,sum_prob]
//   [--width 64] [--layers 2] [--threads 1]
//
// The folder keeps every finished run; called again, it goes on. At the end it prints the table of what is complete and
// writes curves.svg.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/support/command_line.h"

#include "kinglet/base/files.h"
#include "kinglet/base/parallel.h"
#include "kinglet/base/plot.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/methods/memoryformer/table_health.h"
#include "kinglet/nn/torch.h"
#include "kinglet/text/answer_scores.h"
#include "kinglet/text/documents.h"
#include "kinglet/train/language_trainer.h"
#include "kinglet/train/schedule.h"
#include "kinglet/train/torch_threads.h"

namespace {

using namespace kinglet;
namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::int64_t kBatch = 16, kWindow = 64, kHeads = 4, kCurvePoints = 4;
constexpr std::size_t kTrainBytes = 1 << 20, kValidationBytes = 1 << 15;

struct Options {
  fs::path text, out;
  std::int64_t steps = 400, seeds = 3, width = 64, layers = 2, threads = 1;
  std::string arms;  // ",a,b,"; empty: all

  bool wants(const std::string& arm) const { return arms.empty() || arms.find("," + arm + ",") != std::string::npos; }
};

struct Arm {
  std::string name, what;
  double lr = 3e-3;
  bool drawn = false;  // in curves.svg
  std::function<std::shared_ptr<Decoder>()> make;
};

std::shared_ptr<Decoder> dense(std::int64_t width, std::int64_t layers) {
  return std::make_shared<Decoder>(parse_decoder_config(
      fmt::format(R"({{"model_type": "gpt_neox", "vocab_size": 256, "hidden_size": {}, "num_hidden_layers": {},
        "num_attention_heads": {}, "intermediate_size": {}, "max_position_embeddings": 64,
        "use_parallel_residual": false}})",
                  width, layers, kHeads, 4 * width),
      "bench"));
}

MemoryFormerConfig memory_config(const Options& options, MemoryScore score) {
  MemoryFormerConfig config;
  config.vocabulary_size = 256;
  config.hidden_size = options.width;
  config.num_layers = options.layers;
  config.num_heads = kHeads;
  config.max_positions = kWindow;
  config.weighting.score = score;
  config.outer_norm = OuterNorm::kLayer;
  return config;
}

// The width of a dense model with about as many parameters: 12 d^2 a layer.
std::int64_t width_of_equal_size(const MemoryFormerConfig& config) {
  const double width =
      std::sqrt(static_cast<double>(table_elements(config)) / (12.0 * static_cast<double>(config.num_layers)));
  return std::max<std::int64_t>(1, std::lround(width / (8.0 * kHeads))) * 8 * kHeads;
}

std::vector<Arm> all_arms(const Options& options) {
  using Score = MemoryScore;
  const auto memory = [options](Score score, const std::function<void(MemoryFormerConfig&)>& change = {},
                                bool row_sparse = false) {
    MemoryFormerConfig config = memory_config(options, score);
    if (change) change(config);
    return [config, row_sparse] { return make_memoryformer(config, {0.0, row_sparse}); };
  };
  const auto twin = [options] { return dense(options.width, options.layers); };
  const auto large = [options] {
    return dense(width_of_equal_size(memory_config(options, Score::kSumProb)), options.layers);
  };
  const auto bits = [](int count) { return [count](MemoryFormerConfig& config) { config.bits = count; }; };
  const auto expanding = [](int count) { return [count](MemoryFormerConfig& c) { c.expanding_bits = count; }; };
  const auto norm = [](OuterNorm kind) { return [kind](MemoryFormerConfig& config) { config.outer_norm = kind; }; };
  return {
      {"dense", "the twin of equal width, lr x3", 3e-3, true, twin},
      {"dense-slow", "lr x1", 1e-3, false, twin},
      {"dense-large", "as many parameters, lr x1", 1e-3, true, large},
      {"sum_prob", "the default, lr x3", 3e-3, true, memory(Score::kSumProb)},
      {"sum_prob-slow", "lr x1", 1e-3, false, memory(Score::kSumProb)},
      {"prob", "the paper's score, lr x3", 3e-3, true, memory(Score::kProb)},
      {"prob-slow", "lr x1", 1e-3, false, memory(Score::kProb)},
      {"none", "control: no gradient through hashes", 3e-3, true, memory(Score::kNone)},
      {"sum_prob-4bit", "4 bits a table", 3e-3, true, memory(Score::kSumProb, bits(4))},
      {"sum_prob-e0", "no expanding bits", 3e-3, true, memory(Score::kSumProb, expanding(0))},
      {"rmsnorm", "norm_outer rmsnorm", 3e-3, false, memory(Score::kSumProb, norm(OuterNorm::kRms))},
      {"no-norm", "control: no outer norms", 3e-3, false, memory(Score::kSumProb, norm(OuterNorm::kNone))},
      {"row-sparse", "row-sparse AdamW", 3e-3, false, memory(Score::kSumProb, {}, true)},
  };
}

std::vector<std::int32_t> bytes_of(const std::string& path) {
  // A dictionary is sorted: every sixteenth document, so that training and validation are alike.
  DocumentReader reader(path);
  std::vector<std::int32_t> bytes;
  std::int64_t number = 0;
  while (const auto document = reader.next()) {
    if (number++ % 16 != 0) continue;
    for (const char c : document->text + "\n") bytes.push_back(static_cast<unsigned char>(c));
    if (bytes.size() >= kTrainBytes + kValidationBytes) break;
  }
  return bytes;
}

json train(const Arm& arm, const std::vector<std::int32_t>& bytes, std::uint64_t seed, std::int64_t steps) {
  const auto split = bytes.end() - static_cast<std::ptrdiff_t>(std::min(kValidationBytes, bytes.size() / 8));
  const auto data =
      std::make_shared<TokenWindows>(std::vector<std::int32_t>(bytes.begin(), split), kBatch, kWindow, seed);
  const TokenWindows validation({split, bytes.end()}, kBatch, kWindow, 1);
  const std::int64_t batches = validation.windows() / kBatch;
  const auto decoder = arm.make();
  decoder->initialize(seed);
  Schedule schedule;
  schedule.kind = Schedule::Kind::kCosine;
  schedule.total_steps = steps;
  schedule.warm_up_steps = std::min<std::int64_t>(50, steps / 4);
  LanguageSettings settings;
  settings.optimizer.weight_decay = 0.01;
  settings.learning_rate = [&](std::int64_t step) { return arm.lr * schedule.factor(step); };
  LanguageTrainer trainer(decoder, data, settings);
  json result = {{"entropy", nullptr}, {"curve", json::array()}};
  double seconds = 0;
  for (std::int64_t point = 1; point <= kCurvePoints; ++point) {
    const std::clock_t start = std::clock();  // processor time: the machine may be shared
    while (trainer.steps() < steps * point / kCurvePoints) trainer.step();
    seconds += static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    result["loss"] = trainer.evaluate(validation, batches);
    result["curve"].push_back({trainer.steps(), result["loss"]});
  }
  for (const auto& [name, value] : summary_of(table_health(*decoder, [&] { trainer.evaluate(validation, 8); }))) {
    if (name == "tables/up/entropy") result["entropy"] = value;
  }
  std::int64_t parameters = 0;
  for (const at::Tensor& parameter : decoder->parameters()) parameters += parameter.numel();
  result["parameters"] = parameters;
  result["seconds"] = seconds / static_cast<double>(std::max<std::int64_t>(1, steps));
  return result;
}

fs::path result_file(const Options& options, const Arm& arm, std::int64_t seed) {
  return options.out / fmt::format("{}-{}.json", arm.name, seed);
}

// Nothing when that run is not finished.
std::optional<json> finished(const Options& options, const Arm& arm, std::int64_t seed) {
  const fs::path file = result_file(options, arm, seed);
  if (!fs::exists(file)) return std::nullopt;
  return json::parse(as_text(read_file(file)));
}

// Runs of other sizes are no seeds of one another.
void check_folder(const Options& options) {
  fs::create_directories(options.out);
  const fs::path file = options.out / "sizes.json";
  const json sizes = {{"steps", options.steps}, {"width", options.width}, {"layers", options.layers}};
  if (fs::exists(file) && json::parse(as_text(read_file(file))) != sizes) {
    throw bad_input(options.out.string(), "holds runs of another size or number of steps", "name another folder");
  }
  write_file_atomically(file, as_bytes(sizes.dump() + "\n"));
}

std::vector<json> results_of(const Options& options, const Arm& arm) {
  std::vector<json> results;
  for (std::int64_t seed = 1; seed <= options.seeds; ++seed) {
    if (auto result = finished(options, arm, seed)) results.push_back(std::move(*result));
  }
  return results;
}

MeanAndError mean_of(const std::vector<json>& results, const std::function<double(const json&)>& value) {
  std::vector<double> values;
  for (const json& result : results) values.push_back(value(result));
  return mean_and_error(values);
}

void print(const Arm& arm, const std::vector<json>& results) {
  const auto count = static_cast<double>(results.size());
  const MeanAndError loss = mean_of(results, [](const json& result) { return result["loss"].get<double>(); });
  const MeanAndError time = mean_of(results, [](const json& result) { return 1e3 * result["seconds"].get<double>(); });
  const json& first = results[0];
  std::printf("%-14s %5zu %7.2f M   %.3f +- %.3f   %7s %9.0f   %s\n", arm.name.c_str(), results.size(),
              first["parameters"].get<double>() * 1e-6, loss.mean, loss.error * std::sqrt(count),
              first["entropy"].is_null() ? "" : fmt::format("{:.3f}", first["entropy"].get<double>()).c_str(),
              time.mean, arm.what.c_str());
}

void draw(const Options& options, const std::vector<Arm>& arms) {
  LinePlot plot{"MemoryFormer and dense twins, mean of the seeds", "step", "validation loss, nats a byte", false, {}};
  for (const Arm& arm : arms) {
    const std::vector<json> results = results_of(options, arm);
    if (!arm.drawn || results.empty()) continue;
    PlotSeries series{arm.name, {}, {}, true};
    for (std::size_t i = 0; i < results[0]["curve"].size(); ++i) {
      series.x.push_back(results[0]["curve"][i][0]);
      series.y.push_back(mean_of(results, [i](const json& r) { return r["curve"][i][1].get<double>(); }).mean);
    }
    plot.series.push_back(std::move(series));
  }
  write_file_atomically(options.out / "curves.svg", as_bytes(to_svg(plot)));
}

int run(const Options& options) {
  set_num_threads(static_cast<int>(options.threads));
  share_torch_threads();
  check_folder(options);
  const std::vector<std::int32_t> bytes = bytes_of(options.text.string());
  const std::vector<Arm> arms = all_arms(options);
  std::printf("%.2f MB of text, %lld steps of %lld bytes, seeds 1 to %lld\n", static_cast<double>(bytes.size()) * 1e-6,
              static_cast<long long>(options.steps), static_cast<long long>(kBatch * kWindow),
              static_cast<long long>(options.seeds));
  // Seed by seed, so that a run that is cut short has compared every arm.
  for (std::int64_t seed = 1; seed <= options.seeds; ++seed) {
    for (const Arm& arm : arms) {
      if (!options.wants(arm.name) || finished(options, arm, seed)) continue;
      const json result = train(arm, bytes, static_cast<std::uint64_t>(seed), options.steps);
      write_file_atomically(result_file(options, arm, seed), as_bytes(result.dump() + "\n"));
      std::fprintf(stderr, "%s, seed %lld: %.3f, %.0f ms a step\n", arm.name.c_str(), static_cast<long long>(seed),
                   result["loss"].get<double>(), 1e3 * result["seconds"].get<double>());
    }
  }
  std::printf("%-14s %5s %9s   %-15s   %7s %9s\n", "arm", "seeds", "size", "nats a byte", "entropy", "ms/step");
  for (const Arm& arm : arms) {
    const std::vector<json> results = results_of(options, arm);
    if (!results.empty()) print(arm, results);
  }
  draw(options, arms);
  std::printf(
      "mean and standard deviation; entropy of the first feed-forward tables, seed 1 (1: even); processor time\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::string arms;
  CLI::App app("A MemoryFormer against its dense twins on real text");
  app.add_option("text", options.text, "JSON lines with a field text")->required();
  app.add_option("--out", options.out, "Folder that keeps the runs")->required();
  app.add_option("--arms", arms, "Only these models, between commas");
  kinglet::add_counts<std::int64_t>(app, {{"--steps", &options.steps},
                                          {"--seeds", &options.seeds},
                                          {"--width", &options.width},
                                          {"--layers", &options.layers},
                                          {"--threads", &options.threads}});
  return kinglet::run_bench(app, argc, argv, [&] {
    if (!arms.empty()) options.arms = "," + arms + ",";
    return run(options);
  });
}
