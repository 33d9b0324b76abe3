// Generation on the CPU: prefill and decode rates, time to the first token, memory, and how near decoding comes to the
// rate at which memory can be read. One process, one run; peers run between our own measurements.
//
//   build/bench/generate MODEL [--dtype fp32,bf16,int8] [--threads N] [--new 64] [--python PYTHON --peer-arguments
//   "..."]
//
// MODEL: a GGUF file or Hugging Face folder, or "random": a Llama of 134 M parameters (768 wide, 12 layers, 32000
// tokens). --python also runs bench/peers/generate_speed.py with the same numbers of tokens; --peer-arguments goes to
// it, for example "--transformers model.gguf --llama-cpp model-q8_0.gguf".
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <sys/resource.h>

#include "kinglet/base/parallel.h"
#include "kinglet/base/rng.h"
#include "kinglet/models/decoder/decoder_engine.h"
#include "kinglet/models/decoder/gguf_model.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/torch_threads.h"

namespace {

using namespace kinglet;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string model;
  std::vector<std::string> dtypes = {"fp32", "bf16", "int8"};
  std::int64_t prompt = 512;
  std::int64_t fresh = 64;
  int threads = 0;
  std::string python, peer_arguments;
};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Bytes a second that all threads together read from memory, best of several passes over 1 GiB.
double read_bandwidth() {
  std::vector<float> values(std::size_t{1} << 28, 1.0F);
  constexpr std::int64_t kPiece = 1 << 22, kAhead = 512;
  std::vector<float> sums(values.size() / kPiece);
  double best = 1e30;
  for (int pass = 0; pass < 6; ++pass) {
    const auto start = Clock::now();
    parallel_ranges(static_cast<std::int64_t>(values.size()), kPiece, [&](std::int64_t begin, std::int64_t end) {
      float partial[64] = {};
      for (std::int64_t i = begin; i < end; i += 64) {
        for (std::int64_t line = 0; line < 64; line += 16) __builtin_prefetch(values.data() + i + line + kAhead);
        for (std::int64_t lane = 0; lane < 64; ++lane) partial[lane] += values[static_cast<std::size_t>(i + lane)];
      }
      for (const float value : partial) sums[static_cast<std::size_t>(begin / kPiece)] += value;
    });
    best = std::min(best, seconds_since(start));
  }
  return static_cast<double>(values.size() * sizeof(float)) / best;
}

std::shared_ptr<Decoder> load(const Options& options, WeightType type) {
  if (options.model == "random") {
    auto decoder = std::make_shared<Decoder>(parse_decoder_config(R"({"model_type": "llama", "vocab_size": 32000,
      "hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12,
      "num_key_value_heads": 12, "max_position_embeddings": 2048, "tie_word_embeddings": false})",
                                                                  "bench"));
    decoder->initialize(1);
    decoder->eval();
    const at::NoGradGuard no_grad;
    for (at::Tensor& parameter : decoder->parameters()) {
      if (type == WeightType::kBFloat16 && parameter.dim() == 2) parameter.set_data(parameter.to(at::kBFloat16));
    }
    if (type == WeightType::kInt8) decoder->round_to_int8();
    return decoder;
  }
  return options.model.ends_with(".gguf") ? load_gguf_decoder(options.model, type) : load_decoder(options.model, type);
}

// Of all matrices that a token is multiplied with: the embeddings only where they are the output matrix too.
double bytes_per_token(const Decoder& decoder, WeightType type) {
  double weights = 0.0;
  for (const auto& item : decoder.named_parameters()) {
    if (item.value().dim() != 2 || item.key() == "embed_positions") continue;
    if (item.key() == "embed_tokens" && !decoder.config().tied_embeddings) continue;
    weights += static_cast<double>(item.value().numel());
  }
  const double each = type == WeightType::kFloat32 ? 4.0 : type == WeightType::kBFloat16 ? 2.0 : 1.0 + 4.0 / 64.0;
  return weights * each;
}

std::vector<TokenId> random_prompt(std::int64_t length, std::int64_t vocabulary, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<TokenId> tokens;
  for (std::int64_t i = 0; i < length; ++i) {
    tokens.push_back(static_cast<TokenId>(rng.below(static_cast<std::uint64_t>(vocabulary))));
  }
  return tokens;
}

struct Rates {
  double first_token_seconds = 0.0;
  double prompt_rate = 0.0;
  double decode_rate = 0.0;  // of all sequences together, while all run
};

// `sequences` prompts at once; the rates of the slowest.
Rates run(TokenEngine& engine, std::int64_t sequences, std::int64_t prompt, std::int64_t fresh, std::uint64_t seed) {
  std::mutex mutex;
  std::condition_variable changed;
  std::int64_t ended = 0;
  std::vector<SequenceResult> results;
  for (std::int64_t i = 0; i < sequences; ++i) {
    TokenRequest request;
    request.prompt = random_prompt(prompt, engine.vocabulary_size(), seed + static_cast<std::uint64_t>(i));
    request.max_tokens = fresh;
    engine.submit(request, {[](const EngineToken&) { return true; },
                            [&](const SequenceResult& result) {
                              const std::lock_guard lock(mutex);
                              results.push_back(result);
                              ++ended;
                              changed.notify_all();
                            }});
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return ended == sequences; });
  Rates rates;
  double slowest = 0.0;
  for (const SequenceResult& result : results) {
    rates.first_token_seconds = std::max(rates.first_token_seconds, result.wait_seconds + result.prompt_seconds);
    slowest = std::max(slowest, result.token_seconds);
  }
  rates.prompt_rate = static_cast<double>(prompt * sequences) / rates.first_token_seconds;
  rates.decode_rate = static_cast<double>((fresh - 1) * sequences) / slowest;
  return rates;
}

double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

void measure(const Options& options, const std::string& dtype, double bandwidth) {
  const WeightType type = weight_type_of(dtype);
  const auto decoder = load(options, type);
  const double bytes = bytes_per_token(*decoder, type);
  EngineOptions engine_options;
  engine_options.parallel = 8;
  engine_options.prompt_piece = options.prompt;
  const auto engine = make_decoder_engine(decoder, engine_options);
  run(*engine, 1, 16, 8, 1);  // everything is there once
  Rates one, short_prompt, eight;
  for (std::uint64_t repeat = 0; repeat < 3; ++repeat) {
    const Rates long_prompt = run(*engine, 1, options.prompt, 2, 100 + 10 * repeat);
    if (long_prompt.prompt_rate > one.prompt_rate) one.prompt_rate = long_prompt.prompt_rate;
    const Rates now = run(*engine, 1, 32, options.fresh, 200 + 10 * repeat);
    if (now.decode_rate > short_prompt.decode_rate) short_prompt = now;
    const Rates together = run(*engine, 8, 32, options.fresh, 300 + 10 * repeat);
    eight.decode_rate = std::max(eight.decode_rate, together.decode_rate);
  }
  std::printf("%-22s %9.0f %9.1f %8.3f %8.0f %7.0f %% %10.1f %8.0f\n", ("kinglet " + dtype).c_str(), one.prompt_rate,
              short_prompt.decode_rate, short_prompt.first_token_seconds, bytes / 1e6,
              100.0 * short_prompt.decode_rate * bytes / bandwidth, eight.decode_rate, peak_megabytes());
  std::fflush(stdout);
}

int usage() {
  std::fprintf(stderr,
               "usage: generate MODEL|random [--dtype fp32,bf16,int8] [--threads N] [--new N] [--prompt N]\n"
               "                [--python PYTHON --peer-arguments \"...\"]\n");
  return 2;
}

bool parse(int argc, char** argv, Options& options) {
  if (argc < 2 || argc % 2 != 0) return false;
  options.model = argv[1];
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--dtype") {
      options.dtypes.clear();
      for (std::size_t begin = 0; begin <= value.size();) {
        const std::size_t end = std::min(value.find(',', begin), value.size());
        options.dtypes.push_back(value.substr(begin, end - begin));
        begin = end + 1;
      }
    } else if (name == "--threads") {
      options.threads = std::atoi(value.c_str());
    } else if (name == "--new") {
      options.fresh = std::atoll(value.c_str());
    } else if (name == "--prompt") {
      options.prompt = std::atoll(value.c_str());
    } else if (name == "--python") {
      options.python = value;
    } else if (name == "--peer-arguments") {
      options.peer_arguments = value;
    } else {
      return false;
    }
  }
  return options.fresh > 1 && options.prompt > 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) return usage();
  try {
    set_num_threads(options.threads);
    set_torch_threads();
    const double bandwidth = read_bandwidth();
    std::printf("%d threads, memory is read at %.1f GB/s\n\n", num_threads(), bandwidth / 1e9);
    std::printf("%-22s %9s %9s %8s %8s %9s %10s %8s\n", "", "prefill", "decode", "first", "MB a", "of the",
                "8 together", "peak");
    std::printf("%-22s %9s %9s %8s %8s %9s %10s %8s\n", "", "tokens/s", "tokens/s", "token s", "token", "rate",
                "tokens/s", "MB");
    for (const std::string& dtype : options.dtypes) measure(options, dtype, bandwidth);
    if (options.python.empty()) return 0;
    const std::string command =
        fmt::format("{} bench/peers/generate_speed.py --threads {} --prompt {} --new {} {}", options.python,
                    num_threads(), options.prompt, options.fresh, options.peer_arguments);
    if (std::system(command.c_str()) != 0) return 1;
    std::printf("again, behind the peers:\n");
    for (const std::string& dtype : options.dtypes) measure(options, dtype, bandwidth);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "generate: %s\n", error.what());
    return 2;
  }
}
