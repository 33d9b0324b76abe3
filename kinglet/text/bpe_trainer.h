// Learning the vocabulary of a byte-level BPE tokenizer from texts.
//
// The result is that of the `tokenizers` package's BpeTrainer with its ByteLevel pre-tokenizer and the whole byte
// alphabet: the most frequent pair of neighbours becomes a token, of equally frequent ones that with the smaller ids,
// until the vocabulary is full. It does not depend on the order of the texts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kinglet {

struct BpeTrainingOptions {
  std::int64_t vocabulary_size = 32000;  // special tokens and 256 bytes included; fewer when the texts have fewer pairs
  std::int64_t minimum_frequency = 2;    // of a pair
  std::vector<std::string> special_tokens;  // get the ids from 0 on
  // How texts fall into words, which no token crosses: a regular expression whose matches are words. Empty: GPT-2's.
  std::string pattern;
};

class BpeTrainer {
 public:
  // Raises Error (bad input) for a size that does not hold the alphabet, or a pattern that does not compile.
  explicit BpeTrainer(BpeTrainingOptions options);
  ~BpeTrainer();

  // Counts the words of `text`; invalid UTF-8 becomes U+FFFD. Keeps each different word once.
  void feed(std::string_view text);
  // The tokenizer.json of the texts so far. Shows progress; raises Error when interrupted, or when nothing was fed.
  std::string train() const;
  // train() into a file, atomically.
  void write(const std::filesystem::path& path) const;

 private:
  struct Splitter;

  BpeTrainingOptions options_;
  std::unique_ptr<Splitter> splitter_;
  std::unordered_map<std::string, std::int64_t> words_;  // as bytes
};

}  // namespace kinglet
