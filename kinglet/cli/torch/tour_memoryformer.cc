#include "kinglet/cli/torch/tour_memoryformer.h"

#include <chrono>
#include <filesystem>

#include <fmt/format.h>

#include "kinglet/base/plot.h"
#include "kinglet/base/progress.h"
#include "kinglet/methods/memoryformer/cost.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/models/decoder/generation.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/train/corpus_batches.h"
#include "kinglet/train/language_corpora.h"
#include "kinglet/train/language_trainer.h"
#include "kinglet/train/schedule.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kTwinWidth = 128, kTwinLayers = 2, kTwinHeads = 4, kTwinBatch = 8, kTwinTokens = 128;

struct Twin {
  std::string name;
  std::shared_ptr<Decoder> decoder;
  std::vector<double> steps, losses;  // of the validation data
  ModelCost cost;                     // of one token
  double tokens_per_second = 0;       // decoding
};

std::shared_ptr<Decoder> make_dense(std::int64_t vocabulary) {
  return std::make_shared<Decoder>(parse_decoder_config(
      fmt::format(R"({{"model_type": "gpt_neox", "vocab_size": {}, "hidden_size": {}, "num_hidden_layers": {},
        "num_attention_heads": {}, "intermediate_size": {}, "max_position_embeddings": 256,
        "use_parallel_residual": false}})",
                  vocabulary, kTwinWidth, kTwinLayers, kTwinHeads, 4 * kTwinWidth),
      "tour"));
}

std::shared_ptr<Decoder> make_tables(std::int64_t vocabulary) {
  MemoryFormerConfig config;
  config.vocabulary_size = vocabulary;
  config.hidden_size = kTwinWidth;
  config.num_layers = kTwinLayers;
  config.num_heads = kTwinHeads;
  config.max_positions = 256;
  config.bits = 4;  // small tables learn from few tokens (docs/memoryformer.md)
  config.outer_norm = OuterNorm::kLayer;
  return make_memoryformer(config);
}

std::shared_ptr<CorpusBatches> batches_of(const LanguageCorpora& corpora,
                                          const std::shared_ptr<const TokenCorpus>& corpus, std::uint64_t seed) {
  CorpusBatchSettings settings;
  settings.batch = kTwinBatch;
  settings.tokens = kTwinTokens;
  settings.seed = seed;
  settings.separator = corpora.tokenizer->eos();
  return std::make_shared<CorpusBatches>(corpus, settings);
}

void train_twin(Twin& twin, const LanguageCorpora& corpora, std::int64_t steps, std::uint64_t seed) {
  twin.decoder->initialize(seed);
  Schedule schedule;
  schedule.kind = Schedule::Kind::kCosine;
  schedule.total_steps = steps;
  schedule.warm_up_steps = steps / 10;
  LanguageSettings settings;
  settings.learning_rate = [schedule](std::int64_t step) { return 3e-3 * schedule.factor(step); };
  LanguageTrainer trainer(twin.decoder, batches_of(corpora, corpora.train, seed), settings);
  const auto validation = batches_of(corpora, corpora.validation, 1);
  Progress progress(twin.name, static_cast<std::uint64_t>(steps));
  for (std::int64_t point = 1; point <= 4; ++point) {
    while (trainer.steps() < steps * point / 4) {
      trainer.step();
      progress.advance(1);
    }
    twin.steps.push_back(static_cast<double>(trainer.steps()));
    twin.losses.push_back(trainer.evaluate(*validation, 16));
  }
}

// One sequence, greedy; the better of two passes.
double decoding_speed(Decoder& decoder, std::int64_t tokens) {
  GenerationOptions options;
  options.max_tokens = tokens;
  options.choice.temperature = 0;
  double best = 0;
  for (int pass = 0; pass < 2; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    const auto made = generate(decoder, {{1, 2, 3, 4}}, options);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(made[0].tokens.size()) / seconds);
  }
  return best;
}

void save_twin(const Twin& twin, const fs::path& folder, const fs::path& run) {
  fs::create_directories(folder);
  save_decoder(folder, *twin.decoder);
  copy_tokenizer(run, folder);
}

// Multiply-adds and bytes of one token in the layers: the head is the same.
double operations(const Twin& twin) { return static_cast<double>(twin.cost.layers) * twin.cost.block; }
double layer_bytes(const Twin& twin) { return twin.cost.elements_a_token * twin.cost.element_bytes; }

void report_twins(const Twin& tables, const Twin& dense, std::int64_t steps, const fs::path& folder,
                  TourReport& report) {
  report.rows.push_back(
      {"MemoryFormer",
       fmt::format("a decoder whose dense layers are look-ups ({:.2f} M elements of tables) learns {} steps of the "
                   "dictionary",
                   static_cast<double>(tables.cost.table_elements) * 1e-6, steps),
       fmt::format("validation loss {:.2f}; a token costs its layers {:.0f} k multiply-adds and {:.0f} kB; decodes "
                   "{:.0f} tokens/s",
                   tables.losses.back(), operations(tables) * 1e-3, layer_bytes(tables) * 1e-3,
                   tables.tokens_per_second),
       fmt::format("the dense twin of equal width reaches {:.2f} with {:.0f} k, {:.0f} kB and {:.0f} tokens/s",
                   dense.losses.back(), operations(dense) * 1e-3, layer_bytes(dense) * 1e-3, dense.tokens_per_second),
       "kinglet train recipes/memoryformer-tiny-text.toml"});
  TourSection section{"MemoryFormer: look-ups in place of dense layers", {}, {}, {}, {}};
  section.paragraphs = {fmt::format(
      "Both models have width {}, {} layers and the same head; the tables hold more parameters than the dense layers, "
      "but a token reads few of them. Tables learn from more text than a minute of training sees. The models are in "
      "{}.",
      kTwinWidth, kTwinLayers, folder.string())};
  LinePlot plot{"MemoryFormer and its dense twin", "step", "validation loss", false, {}};
  for (const Twin* twin : {&tables, &dense}) plot.series.push_back({twin->name, twin->steps, twin->losses, true});
  section.plots.push_back(to_svg(plot));
  report.sections.push_back(section);
  for (const Twin* twin : {&tables, &dense}) {
    report.numbers["memoryformer"][twin->name] = {{"eval_loss", twin->losses.back()},
                                                  {"parameters", twin->cost.parameters},
                                                  {"multiply_adds_a_token", operations(*twin)},
                                                  {"bytes_a_token", layer_bytes(*twin)},
                                                  {"tokens_per_second", twin->tokens_per_second}};
  }
}

}  // namespace

void run_memoryformer_stop(const TourOptions& options, TourReport& report) {
  const fs::path run = fs::path(options.output) / "language" / "run",
                 folder = fs::path(options.output) / "memoryformer";
  const LanguageCorpora corpora = open_language_data(run);
  const std::int64_t vocabulary = corpora.tokenizer->vocabulary_size(), steps = options.quick ? 16 : 240;
  Twin tables{"MemoryFormer", make_tables(vocabulary), {}, {}, {}, 0},
      dense{"dense twin", make_dense(vocabulary), {}, {}, {}, 0};
  for (Twin* twin : {&tables, &dense}) {
    train_twin(*twin, corpora, steps, options.seed);
    twin->decoder->eval();
    const fs::path model = folder / (twin == &tables ? "memoryformer" : "dense");
    save_twin(*twin, model, run);
    twin->cost = read_model_cost(model, 1);
    twin->tokens_per_second = decoding_speed(*twin->decoder, options.quick ? 16 : 128);
  }
  report_twins(tables, dense, steps, folder, report);
}

}  // namespace kinglet::cli
