// A teacher and a distillation of seconds, for tests: questions about four words.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "kinglet/base/rng.h"

namespace kinglet::testing_support {

// JSON lines, to be written to train.jsonl and validation.jsonl beside the recipes.
inline std::string word_questions(std::uint64_t seed, int count) {
  constexpr std::array kWords = {"stone", "house", "river", "cloud"};
  Rng rng(seed);
  std::string lines;
  for (int i = 0; i < count; ++i) {
    const std::string word = kWords[rng.below(4)];
    const nlohmann::json record = {
        {"instruction", "Say " + word}, {"input", ""}, {"output", "It is the old " + word + " of " + word}};
    lines += record.dump() + "\n";
  }
  return lines;
}

// Of `kinglet train`, into the folder teacher.
inline constexpr const char* kSmallTeacher = R"(
[data]
train = ["train.jsonl"]
tokens = 64
packing = "best-fit"
[tokenizer]
vocabulary_size = 280
[model]
hidden_size = 24
num_layers = 1
num_heads = 2
max_positions = 128
[training]
steps = 20
batch = 4
[optimizer]
lr = 1e-2
)";

// The lines of [student] that make a new one.
inline constexpr const char* kSmallStudent = "hidden_size = 16\nnum_layers = 1\nnum_heads = 2\nmax_positions = 128\n";

inline const std::string kSmallDistillation = std::string(R"(
[teacher]
from = "teacher/model"
[student]
)") + kSmallStudent + R"([data]
train = ["train.jsonl"]
validation = ["validation.jsonl"]
longest_prompt = 48
longest = 80
[sequences]
threshold = 0.6
buffer = 8
[training]
steps = 8
batch = 4
log_every = 1
[optimizer]
lr = 1e-2
[evaluation]
every = 4
answers = 4
[checkpoints]
every = 2
)";

}  // namespace kinglet::testing_support
