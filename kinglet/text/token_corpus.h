// A tokenized corpus: the tokens of many documents in one file that is mapped, not read (docs/data.md has the bytes).
//
// A corpus remembers what it was made of: the tokenizer (a fingerprint of its vocabulary) and the source files (size
// and checksum), so that a training run that goes on later can tell whether either has changed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {

struct CorpusSource {
  std::string path;
  std::uint64_t bytes = 0, checksum = 0;  // of the file, XXH3
  std::uint64_t documents = 0;            // that came from it
  bool operator==(const CorpusSource&) const = default;
};

// Measures the file; raises Error when it cannot be read.
CorpusSource describe_source(const std::filesystem::path& path);

// Writes document by document with memory that does not grow; the file appears with commit().
class TokenCorpusWriter {
 public:
  // `vocabulary_size` at most 65536 makes tokens of two bytes, else four.
  TokenCorpusWriter(const std::filesystem::path& path, std::int64_t vocabulary_size,
                    std::uint64_t tokenizer_fingerprint);
  ~TokenCorpusWriter();
  TokenCorpusWriter(const TokenCorpusWriter&) = delete;
  TokenCorpusWriter& operator=(const TokenCorpusWriter&) = delete;

  // `trained`: for every token whether a model learns to write it; empty: all. Raises Error (bad input) for ids outside
  // the vocabulary.
  void add(std::span<const TokenId> tokens, std::span<const std::uint8_t> trained = {});
  void add_source(CorpusSource source);
  void commit();

  std::uint64_t documents() const;
  std::uint64_t tokens() const;
  std::uint64_t trained_tokens() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

// Immutable; may be read from many threads at once.
class TokenCorpus {
 public:
  enum class Check {
    kIndex,       // header, document index, mask and sources: everything but the tokens' checksum
    kEverything,  // the tokens too: reads the whole file
  };
  // Raises Error (bad input) for a file that is damaged or no corpus. Ids are checked when they are read.
  static TokenCorpus open(const std::filesystem::path& path, Check check = Check::kIndex);

  std::uint64_t documents() const { return documents_; }
  std::uint64_t tokens() const { return tokens_; }
  std::uint64_t length(std::uint64_t document) const { return start(document + 1) - start(document); }

  // Tokens [begin, begin + count) of a document, appended. Asserts that they exist.
  void read(std::uint64_t document, std::uint64_t begin, std::uint64_t count, std::vector<TokenId>& out) const;
  bool trained(std::uint64_t document, std::uint64_t token) const;
  bool has_mask() const { return !mask_.empty(); }

  std::int64_t vocabulary_size() const { return vocabulary_size_; }
  std::uint64_t tokenizer_fingerprint() const { return tokenizer_fingerprint_; }
  std::uint64_t checksum() const { return checksum_; }  // of the header, and so of everything
  const std::vector<CorpusSource>& sources() const { return sources_; }
  // One line for each source that is gone or no longer what it was.
  std::vector<std::string> changed_sources() const;
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  std::uint64_t start(std::uint64_t document) const;
  void check_index() const;

  MappedFile file_;
  ByteView token_bytes_, index_, mask_;
  std::uint32_t token_width_ = 2;
  std::uint64_t documents_ = 0, tokens_ = 0, tokenizer_fingerprint_ = 0, checksum_ = 0;
  std::int64_t vocabulary_size_ = 0;
  std::vector<CorpusSource> sources_;
};

}  // namespace kinglet
