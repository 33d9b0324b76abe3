// Does a small MemoryFormer learn, and which of its parts matter? Validation loss in nats a byte on a text, for arms of
// equal width, text, steps and seeds: d = 128, 2 layers, 4 heads, batches of 16 x 64 bytes.
//
//   kinglet data import --from gcide --out words.jsonl
//   build/bench/memoryformer_quality words.jsonl [--steps 600] [--seeds 3] [--arms dense,sum_prob]
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/parallel.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/methods/memoryformer/table_health.h"
#include "kinglet/nn/torch.h"
#include "kinglet/text/documents.h"
#include "kinglet/train/language_trainer.h"
#include "kinglet/train/schedule.h"
#include "kinglet/train/torch_threads.h"

namespace {

using namespace kinglet;

constexpr std::int64_t kBatch = 16, kWindow = 64, kWidth = 128, kLayers = 2, kHeads = 4;
constexpr std::size_t kTrainBytes = 1 << 20, kValidationBytes = 1 << 17;

struct Arm {
  std::string name, what;
  double lr = 3e-3;
  std::function<std::shared_ptr<Decoder>()> make;
};

std::shared_ptr<Decoder> dense(std::int64_t width) {
  return std::make_shared<Decoder>(parse_decoder_config(
      fmt::format(R"({{"model_type": "gpt_neox", "vocab_size": 256, "hidden_size": {}, "num_hidden_layers": {},
        "num_attention_heads": {}, "intermediate_size": {}, "max_position_embeddings": 64,
        "use_parallel_residual": false}})",
                  width, kLayers, kHeads, 4 * width),
      "bench"));
}

std::shared_ptr<Decoder> memory(MemoryScore score, int bits = 8, int expanding = 2, OuterNorm norm = OuterNorm::kLayer,
                                bool row_sparse = false) {
  MemoryFormerConfig config;
  config.vocabulary_size = 256;
  config.hidden_size = kWidth;
  config.num_layers = kLayers;
  config.num_heads = kHeads;
  config.max_positions = kWindow;
  config.bits = bits;
  config.expanding_bits = expanding;
  config.weighting.score = score;
  config.outer_norm = norm;
  return make_memoryformer(config, {0.0, row_sparse});
}

std::vector<Arm> all_arms() {
  using Score = MemoryScore;
  return {
      {"dense", "the twin", 3e-3, [] { return dense(kWidth); }},
      {"dense-slow", "lr 1e-3", 1e-3, [] { return dense(kWidth); }},
      {"dense-large", "as many parameters, lr 1e-3", 1e-3, [] { return dense(608); }},
      {"sum_prob", "the default", 3e-3, [] { return memory(Score::kSumProb); }},
      {"sum_prob-slow", "lr 1e-3", 1e-3, [] { return memory(Score::kSumProb); }},
      {"prob", "the paper's score", 3e-3, [] { return memory(Score::kProb); }},
      {"none", "control: no gradient through hashes", 3e-3, [] { return memory(Score::kNone); }},
      {"sum_prob-4bit", "4 bits a table", 3e-3, [] { return memory(Score::kSumProb, 4); }},
      {"sum_prob-e0", "no expanding bits", 3e-3, [] { return memory(Score::kSumProb, 8, 0); }},
      {"rmsnorm", "norm_outer rmsnorm", 3e-3, [] { return memory(Score::kSumProb, 8, 2, OuterNorm::kRms); }},
      {"no-norm", "control: no outer norms", 3e-3, [] { return memory(Score::kSumProb, 8, 2, OuterNorm::kNone); }},
      {"row-sparse", "row-sparse AdamW", 3e-3, [] { return memory(Score::kSumProb, 8, 2, OuterNorm::kLayer, true); }},
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

struct Result {
  double loss = 0, entropy = 0;
  std::int64_t parameters = 0;
};

Result train(const Arm& arm, const std::vector<std::int32_t>& bytes, std::uint64_t seed, std::int64_t steps) {
  const auto split = bytes.end() - static_cast<std::ptrdiff_t>(std::min(kValidationBytes, bytes.size() / 8));
  const auto data =
      std::make_shared<TokenWindows>(std::vector<std::int32_t>(bytes.begin(), split), kBatch, kWindow, seed);
  const TokenWindows validation({split, bytes.end()}, kBatch, kWindow, 1);
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
  for (std::int64_t i = 0; i < steps; ++i) trainer.step();
  Result result;
  const std::int64_t batches = validation.windows() / kBatch;
  const auto health = table_health(*decoder, [&] { result.loss = trainer.evaluate(validation, batches); });
  for (const at::Tensor& parameter : decoder->parameters()) result.parameters += parameter.numel();
  for (const auto& [name, value] : summary_of(health)) {
    if (name == "tables/up/entropy") result.entropy = value;
  }
  return result;
}

void print(const Arm& arm, const std::vector<Result>& results) {
  double mean = 0, square = 0;
  const auto count = static_cast<double>(results.size());
  for (const Result& result : results) mean += result.loss / count;
  for (const Result& result : results) square += (result.loss - mean) * (result.loss - mean);
  std::string line =
      fmt::format("{:<14} {:6.2f} M   {:.3f}", arm.name, static_cast<double>(results[0].parameters) * 1e-6, mean);
  line += results.size() > 1 ? fmt::format(" +- {:.3f}", std::sqrt(square / (count - 1))) : std::string(9, ' ');
  line += results[0].entropy > 0 ? fmt::format("   {:.3f}", results[0].entropy) : std::string(8, ' ');
  std::printf("%s   %s\n", line.c_str(), arm.what.c_str());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  std::int64_t steps = 600, seeds = 3;
  std::string wanted;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--steps") steps = std::stol(argv[i + 1]);
    if (option == "--seeds") seeds = std::stol(argv[i + 1]);
    if (option == "--arms") wanted = std::string(",") + argv[i + 1] + ",";
  }
  if (argc < 2) {
    std::fprintf(stderr, "usage: memoryformer_quality TEXT.jsonl [--steps N] [--seeds N] [--arms a,b]\n");
    return 2;
  }
  share_torch_threads();
  const std::vector<std::int32_t> bytes = bytes_of(argv[1]);
  std::printf("%.2f MB of text, %lld steps of %lld bytes, seeds 1 to %lld\n", static_cast<double>(bytes.size()) * 1e-6,
              static_cast<long long>(steps), static_cast<long long>(kBatch * kWindow), static_cast<long long>(seeds));
  std::printf("%-14s %8s   %-14s   %s\n", "arm", "size", "nats a byte",
              "entropy of the first feed-forward tables (1: even)");
  for (const Arm& arm : all_arms()) {
    if (!wanted.empty() && wanted.find("," + arm.name + ",") == std::string::npos) continue;
    std::vector<Result> results;
    for (std::int64_t seed = 1; seed <= seeds; ++seed) {
      results.push_back(train(arm, bytes, static_cast<std::uint64_t>(seed), steps));
    }
    print(arm, results);
  }
  return 0;
}
