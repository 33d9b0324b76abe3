// Training steps of a Llama-like model: tokens per second, and the share of the machine's matrix-product rate.
//
//   build/bench/train_lm_step [--python PYTHON]
//
// With --python the peer bench/peers/lm_step.py runs between our own measurements, and the ratio is printed.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "kinglet/base/parallel.h"
#include "kinglet/kernels/matmul.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/language_trainer.h"
#include "kinglet/train/torch_threads.h"

namespace {

using namespace kinglet;

constexpr std::int64_t kBatch = 16, kWindow = 256;

double best_seconds(int times, const std::function<void()>& body) {
  double best = 1e30;
  for (int i = 0; i < times; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

// Operations a second of a product that is large in every direction: what a step could reach at most.
double peak_rate(DType dtype) {
  constexpr std::int64_t kSize = 2048;
  const at::ScalarType type = dtype == DType::kF32 ? at::kFloat : at::kBFloat16;
  const at::Tensor a = at::ones({kSize, kSize}).to(type), b = a.clone();
  const at::Tensor c = at::empty({kSize, kSize});
  const double seconds = best_seconds(6, [&] {
    matmul({a.data_ptr(), dtype, kSize, kSize, kSize, 1, 0}, {b.data_ptr(), dtype, kSize, kSize, kSize, 1, 0},
           {c.data_ptr(), DType::kF32, kSize, kSize, kSize, 1, 0});
  });
  return 2.0 * kSize * kSize * kSize / seconds;
}

DecoderConfig config() {
  return parse_decoder_config(R"({"model_type": "llama", "vocab_size": 8192, "hidden_size": 256,
    "intermediate_size": 704, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 8,
    "max_position_embeddings": 512})",
                              "bench");
}

// Multiplications and additions of a step: 6 a parameter and token that is in a product, attention on top.
double operations(const DecoderConfig& c) {
  const double tokens = static_cast<double>(kBatch * kWindow);
  const double products = static_cast<double>(parameter_count(c) - c.vocabulary_size * c.hidden_size);
  const double attention = 6.0 * 2.0 * static_cast<double>(c.num_layers * c.hidden_size) * kWindow / 2.0;
  return tokens * (6.0 * products + attention);
}

double our_tokens_per_second(nn::Precision precision) {
  const DecoderConfig shape = config();
  auto decoder = std::make_shared<Decoder>(shape);
  decoder->initialize(1);
  std::vector<std::int32_t> tokens(1 << 16);
  std::uint32_t noise = 1;
  for (std::int32_t& token : tokens) {
    noise = noise * 1664525U + 1013904223U;
    token = static_cast<std::int32_t>(noise >> 19);
  }
  LanguageSettings settings;
  settings.precision = precision;
  settings.learning_rate = [](std::int64_t) { return 1e-4; };
  LanguageTrainer trainer(decoder, std::make_shared<TokenWindows>(tokens, kBatch, kWindow, 1), settings);
  trainer.step();
  return static_cast<double>(kBatch * kWindow) / best_seconds(10, [&] { trainer.step(); });
}

double peer_tokens_per_second(const std::string& python, const char* precision) {
  const std::string command = python + " bench/peers/lm_step.py --precision " + precision + " --threads " +
                              std::to_string(num_threads()) + " 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return 0.0;
  char line[512] = {};
  const char* read = fgets(line, sizeof(line), pipe);
  pclose(pipe);
  if (read == nullptr) return 0.0;
  const auto result = nlohmann::json::parse(line, nullptr, false);
  return result.is_object() ? result.value("tokens_per_second", 0.0) : 0.0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string python = argc == 3 && std::strcmp(argv[1], "--python") == 0 ? argv[2] : "";
  share_torch_threads();
  std::printf("%lld parameters, batch %lld x %lld, %d threads\n", static_cast<long long>(parameter_count(config())),
              static_cast<long long>(kBatch), static_cast<long long>(kWindow), num_threads());
  for (const bool halves : {false, true}) {
    const nn::Precision precision = halves ? nn::Precision::kBFloat16 : nn::Precision::kFloat32;
    const double peak = peak_rate(halves ? DType::kBF16 : DType::kF32);
    double rate = our_tokens_per_second(precision);
    const double peer = python.empty() ? 0.0 : peer_tokens_per_second(python, halves ? "bf16" : "fp32");
    if (peer > 0) rate = std::max(rate, our_tokens_per_second(precision));  // on both sides of the peer
    const double share = rate / static_cast<double>(kBatch * kWindow) * operations(config()) / peak;
    std::printf("%s  %8.0f tokens/s  %4.1f %% of %.0f GFLOP/s", halves ? "bf16" : "fp32", rate, 100 * share,
                peak / 1e9);
    if (peer > 0) std::printf("   PyTorch %8.0f   ratio %.2f", peer, rate / peer);
    std::printf("\n");
  }
  return 0;
}
