// Batches of a tokenized corpus, in the order of text/sampler.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kinglet/text/sampler.h"
#include "kinglet/train/language_data.h"

namespace kinglet {

struct CorpusBatchSettings {
  std::int64_t batch = 8;     // sequences
  std::int64_t tokens = 256;  // inputs a sequence; the corpus is cut into pieces of one more, for the last label
  std::uint64_t seed = 0;
  Packing packing = Packing::kConcatenate;
  bool shuffle = true;
  std::optional<TokenId> separator;
  TokenId padding = 0;
  // Documents in one sequence do not see each other: neither in attention nor in the loss, and positions start anew.
  bool separate_documents = false;
};

// Asking in ascending order is fast; see Sampler::seek() for other orders. Not for use from several threads at once.
class CorpusBatches : public LanguageData {
 public:
  // Raises Error (bad input) for an empty corpus.
  CorpusBatches(std::shared_ptr<const TokenCorpus> corpus, const CorpusBatchSettings& settings);

  LanguageBatch batch(std::int64_t number) const override;
  std::string fingerprint() const override { return fingerprint_; }

  // Sequences that begin in the first epoch, and how many documents of it are cut because they are too long.
  struct Epoch {
    std::uint64_t sequences = 0, truncated = 0;
  };
  Epoch measure_epoch() const;

 private:
  void fill_row(LanguageBatch& batch, std::int64_t row, const TrainingSequence& sequence) const;

  std::shared_ptr<const TokenCorpus> corpus_;
  CorpusBatchSettings settings_;
  SamplerOptions sampling_;
  mutable Sampler sampler_;
  std::string fingerprint_;
};

}  // namespace kinglet
