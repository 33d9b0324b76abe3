// A tiny decoder and a language with a rule, for tests of training.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kinglet/train/language_trainer.h"

namespace kinglet::testing_support {

inline DecoderConfig tiny_decoder(const std::string& family) {
  std::string json = R"({"model_type": ")" + family + R"(", "vocab_size": 32, )";
  if (family == "gpt2") {
    json += R"("n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64})";
  } else {
    json += R"("hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
               "max_position_embeddings": 64})";
  }
  return parse_decoder_config(json, "config.json");
}

// The next token follows from the last one, but for one in sixteen.
inline std::vector<std::int32_t> ruled_tokens(std::size_t count) {
  std::vector<std::int32_t> tokens = {1};
  std::uint32_t noise = 1;
  while (tokens.size() < count) {
    noise = noise * 1664525U + 1013904223U;
    const std::int32_t next = (7 * tokens.back() + 3) % 32;
    tokens.push_back(noise >> 28 == 0 ? static_cast<std::int32_t>(noise >> 20 & 31U) : next);
  }
  return tokens;
}

struct TinyRun {
  explicit TinyRun(const std::string& family, LanguageSettings settings = usual(), std::int64_t batch = 4)
      : decoder(std::make_shared<Decoder>(tiny_decoder(family))),
        data(std::make_shared<TokenWindows>(ruled_tokens(4000), batch, 32, 7)) {
    decoder->initialize(3);
    trainer = std::make_unique<LanguageTrainer>(decoder, data, settings);
  }
  static LanguageSettings usual() {
    LanguageSettings settings;
    settings.learning_rate = [](std::int64_t step) { return 3e-3 / (1.0 + 0.01 * static_cast<double>(step)); };
    return settings;
  }
  std::vector<double> steps(int count) {
    std::vector<double> losses;
    for (int i = 0; i < count; ++i) losses.push_back(trainer->step().loss);
    return losses;
  }
  std::shared_ptr<Decoder> decoder;
  std::shared_ptr<TokenWindows> data;
  std::unique_ptr<LanguageTrainer> trainer;
};

}  // namespace kinglet::testing_support
