// What a whole MemoryFormer decodes against its dense twin (the Pythia of equal width and depth), in one engine: one
// sequence, greedy, random weights.
//
//   build/bench/memoryformer_decode [--preset small] [--tokens 48] [--rounds 3] [--threads N] [--vocabulary 50304]
//
// Prints tokens a second (the best round: the machine may be shared), milliseconds a token, and the bytes of the
// weights that a token reads on paper. `small` asks for 4 GB of memory.
//
//   ... --from-file FOLDER
//
// In place of that: the same MemoryFormer from files of bf16 and int8 tables, which are written into FOLDER when they
// are not there; copied into memory, and used from the file. "load": until the model is ready; "first": until it has
// made one token, from the start; both of the best round, when the files are in the page cache. Tokens are made in
// turns, and their time is that of the processor, in the best round.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/support/command_line.h"

#include "kinglet/base/error.h"
#include "kinglet/base/parallel.h"
#include "kinglet/methods/memoryformer/cost.h"
#include "kinglet/methods/memoryformer/file_tables.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/models/decoder/generation.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/torch_threads.h"

namespace {

using namespace kinglet;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string preset = "small", from_file;
  std::int64_t tokens = 48, rounds = 3, threads = 0, vocabulary = 50304;
};

MemoryFormerConfig memory_config(const Options& options) {
  MemoryFormerConfig config;
  config.vocabulary_size = options.vocabulary;
  const bool small = options.preset == "small";
  config.hidden_size = small ? 768 : 512;
  config.num_layers = small ? 12 : 6;
  config.num_heads = small ? 12 : 8;
  return config;
}

DecoderConfig dense_config(const MemoryFormerConfig& twin) {
  return parse_decoder_config(
      fmt::format(R"({{"model_type": "gpt_neox", "vocab_size": {}, "hidden_size": {}, "num_hidden_layers": {},
        "num_attention_heads": {}, "intermediate_size": {}, "max_position_embeddings": 2048,
        "tie_word_embeddings": false}})",
                  twin.vocabulary_size, twin.hidden_size, twin.num_layers, twin.num_heads, 4 * twin.hidden_size),
      "bench");
}

// Random weights, matrices and tables in bf16. Parameters are empty until now, so that none is ever in memory as fp32.
void fill(Decoder& decoder) {
  const at::NoGradGuard no_grad;
  const at::Tensor numbers = (at::randn({1 << 21}) * 0.02).to(at::kBFloat16);
  for (const auto& item : decoder.named_parameters()) {
    at::Tensor value = item.value();
    if (value.dim() == 1) {
      value.fill_(item.key().ends_with("norm.weight") ? 1.0 : 0.0);
      continue;
    }
    value.set_data(at::empty(value.sizes(), at::kBFloat16));
    at::Tensor flat = value.view({-1});
    for (std::int64_t at = 0; at < flat.numel(); at += numbers.numel()) {
      const std::int64_t count = std::min(numbers.numel(), flat.numel() - at);
      flat.narrow(0, at, count).copy_(numbers.narrow(0, 0, count));
    }
  }
  decoder.eval();
}

double seconds_a_token(Decoder& decoder, const Options& options) {
  GenerationOptions generation;
  generation.max_tokens = options.tokens;
  generation.choice.temperature = 0;
  double best = 1e9;
  for (std::int64_t round = 0; round < options.rounds; ++round) {
    const auto start = Clock::now();
    const auto made = generate(decoder, {{static_cast<TokenId>(1 + round), 5, 9, 2}}, generation);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds / static_cast<double>(made[0].tokens.size()));
  }
  return best;
}

void measure(const std::string& name, Decoder& decoder, const ModelCost& cost, double element_bytes,
             const Options& options, double& base) {
  const double seconds = seconds_a_token(decoder, options);
  if (base == 0) base = seconds;
  std::printf("%-20s %9.2f GB %9.1f MB %10.1f %9.2f %7.2f\n", name.c_str(),
              static_cast<double>(cost.parameters) * element_bytes * 1e-9,
              (cost.elements_a_token + cost.head_elements) * element_bytes * 1e-6, 1.0 / seconds, 1e3 * seconds,
              base / seconds);
  std::fflush(stdout);
}

// ---- from files ------------------------------------------------------------------------------------------------

constexpr TablePlace kPlaces[] = {TablePlace::kMemory, TablePlace::kFile};

struct FileTimes {
  double load = 1e9, first = 1e9;  // seconds
  double token = 1e9;              // seconds of the processor
};

double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void generate_tokens(Decoder& decoder, std::int64_t tokens, std::int64_t round) {
  GenerationOptions generation;
  generation.max_tokens = tokens;
  generation.choice.temperature = 1;  // the likeliest tokens of random weights soon repeat, and so would their rows
  generation.choice.seed = static_cast<std::uint64_t>(round);
  generate(decoder, {{static_cast<TokenId>(1 + round), 5, 9, 2}}, generation);
}

std::shared_ptr<Decoder> load_from(const std::filesystem::path& folder, TablePlace place) {
  TableUse use;
  use.place = place;
  register_memoryformer(use);
  return load_decoder(folder, WeightType::kBFloat16, LoadPurpose::kUse);
}

void measure_start(const std::filesystem::path& folder, TablePlace place, FileTimes& best) {
  const auto start = Clock::now();
  const auto decoder = load_from(folder, place);
  const auto loaded = Clock::now();
  generate_tokens(*decoder, 1, 0);
  best.load = std::min(best.load, std::chrono::duration<double>(loaded - start).count());
  best.first = std::min(best.first, std::chrono::duration<double>(Clock::now() - start).count());
}

// Both places in turns, so that the machine is as busy for each.
void measure_tokens(const std::filesystem::path& folder, const Options& options, FileTimes (&best)[2]) {
  std::shared_ptr<Decoder> decoders[2];
  for (int place = 0; place < 2; ++place) decoders[place] = load_from(folder, kPlaces[place]);
  for (std::int64_t round = 0; round < options.rounds; ++round) {
    for (int place = 0; place < 2; ++place) {
      const double start = processor_seconds();
      generate_tokens(*decoders[place], options.tokens, round);
      const double seconds = (processor_seconds() - start) / static_cast<double>(options.tokens);
      best[place].token = std::min(best[place].token, seconds);
    }
  }
}

// Folders of both types, made once.
void write_files(const MemoryFormerConfig& config, const std::filesystem::path& halves,
                 const std::filesystem::path& bytes) {
  if (!std::filesystem::exists(halves)) {
    const auto decoder = make_memoryformer(config);
    fill(*decoder);
    save_decoder(halves, *decoder, "bfloat16");
  }
  TableUse once;
  once.once = true;
  register_memoryformer(once);
  if (!std::filesystem::exists(bytes)) {
    save_with_int8_tables(bytes, *load_decoder(halves, WeightType::kAsStored, LoadPurpose::kUse));
  }
}

int run_from_files(const MemoryFormerConfig& memory, const Options& options) {
  const std::filesystem::path halves = std::filesystem::path(options.from_file) / (options.preset + "-bf16");
  const std::filesystem::path bytes = std::filesystem::path(options.from_file) / (options.preset + "-int8");
  write_files(memory, halves, bytes);
  std::printf("%-20s %10s %10s %10s %9s %8s\n", "tables", "load", "first", "tokens/s", "ms/token", "to copy");
  for (const std::filesystem::path& folder : {halves, bytes}) {
    FileTimes times[2];
    for (std::int64_t round = 0; round < options.rounds; ++round) {
      for (int place = 0; place < 2; ++place) measure_start(folder, kPlaces[place], times[place]);
    }
    measure_tokens(folder, options, times);
    for (int place = 0; place < 2; ++place) {
      const FileTimes& made = times[place];
      const std::string name =
          (folder == halves ? "bf16 " : "int8 ") + std::string(place == 0 ? "copied" : "in the file");
      std::printf("%-20s %8.2f s %8.2f s %10.1f %9.2f %8.2f\n", name.c_str(), made.load, made.first, 1.0 / made.token,
                  1e3 * made.token, times[0].token / made.token);
    }
    std::fflush(stdout);
  }
  return 0;
}

int run(const Options& options) {
  set_num_threads(static_cast<int>(options.threads));
  share_torch_threads();
  const MemoryFormerConfig memory = memory_config(options);
  std::printf("%s, vocabulary %lld, %lld tokens, best of %lld rounds, %d threads\n", options.preset.c_str(),
              static_cast<long long>(options.vocabulary), static_cast<long long>(options.tokens),
              static_cast<long long>(options.rounds), num_threads());
  if (!options.from_file.empty()) return run_from_files(memory, options);
  std::printf("%-20s %12s %12s %10s %9s %7s\n", "", "weights", "a token", "tokens/s", "ms/token", "to bf16");
  double base = 0;
  {
    const auto dense = std::make_shared<Decoder>(dense_config(memory));
    fill(*dense);
    const ModelCost cost = decoder_cost(dense->config(), 1);
    measure("dense bf16", *dense, cost, 2, options, base);
    dense->round_to_int8();
    measure("dense int8", *dense, cost, 1, options, base);
  }
  const auto tables = make_memoryformer(memory);
  fill(*tables);
  const ModelCost cost = memoryformer_cost(memory, 1);
  measure("MemoryFormer bf16", *tables, cost, 2, options, base);
  tables->round_to_int8();
  measure("MemoryFormer int8", *tables, cost, 1, options, base);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("What a MemoryFormer decodes against its dense twin");
  app.add_option("--preset", options.preset)->check(CLI::IsMember({"tiny", "small"}))->capture_default_str();
  app.add_option("--from-file", options.from_file, "Folder for models whose tables are read from files");
  kinglet::add_counts<std::int64_t>(app, {{"--tokens", &options.tokens}, {"--rounds", &options.rounds}});
  app.add_option("--threads", options.threads, "0: all cores")->check(CLI::Range(0, 1 << 10));
  app.add_option("--vocabulary", options.vocabulary)->check(CLI::Range(16, 1 << 24))->capture_default_str();
  return kinglet::run_bench(app, argc, argv, [&] { return run(options); });
}
