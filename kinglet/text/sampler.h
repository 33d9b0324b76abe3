// Training sequences from a token corpus, in an order that follows from a seed alone.
//
// Every epoch goes through all documents once, in an order of its own. Documents become sequences of one length in one
// of two ways:
//   kConcatenate  documents one behind the other, a separator after each, cut wherever a sequence is full. No token is
//                 lost or padded; for language modelling.
//   kBestFit      whole documents only, several to a sequence where they fit (best-fit decreasing within a window of
//                 documents), the rest padded; for instruction data. A document longer than a sequence loses its end.
// The state is three numbers, whatever the corpus: resuming gives exactly the sequences that would have come. With
// several processes each takes every world_size-th sequence of the one order; the state is the same for all of them
// between steps, so a run may go on with another number of processes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kinglet/text/json_text.h"
#include "kinglet/text/token_corpus.h"

namespace kinglet {

enum class Packing { kConcatenate, kBestFit };

struct SamplerOptions {
  std::uint64_t sequence_length = 1024;
  std::uint64_t seed = 0;
  Packing packing = Packing::kConcatenate;
  bool shuffle = true;               // false: documents in the order of the corpus, every epoch
  std::optional<TokenId> separator;  // after every document (normally EOS); trained
  TokenId padding = 0;               // fills sequences of kBestFit; never trained
  bool separate_documents = false;   // the first token of a document is not predicted from the document before
  std::uint64_t window = 1024;       // documents that kBestFit looks at together
  std::uint64_t rank = 0, world_size = 1;
};

inline constexpr TokenId kUntrainedLabel = -100;  // as kIgnoredLabel of kernels/cross_entropy.h

struct TrainingSequence {
  std::vector<TokenId> input_ids;          // sequence_length
  std::vector<TokenId> labels;             // input_ids where they are trained, else kUntrainedLabel; not shifted
  std::vector<std::int32_t> position_ids;  // from 0 in each document part
  std::vector<std::uint32_t> boundaries;   // where document parts begin, then the number of tokens without padding
};

struct SamplerState {
  std::uint64_t document = 0;   // in the endless order: epoch * documents + position; of the window for kBestFit
  std::uint64_t offset = 0;     // kConcatenate: tokens of the document already given; kBestFit: sequences of the window
  std::uint64_t sequences = 0;  // given so far by all ranks together
  bool operator==(const SamplerState&) const = default;
};

class Sampler {
 public:
  // `corpus` must outlive the sampler. Raises Error (bad input) for options that cannot work and for an empty corpus.
  Sampler(const TokenCorpus& corpus, const SamplerOptions& options);

  TrainingSequence next();  // this rank's next sequence; there is always one

  // The next sequence is `sequence` of the one order of all ranks, below 2^31. Forwards costs a walk over the lengths
  // of documents, of one epoch at most where they are concatenated; backwards starts over.
  void seek(std::uint64_t sequence);

  const SamplerState& state() const { return state_; }
  std::uint64_t epoch() const { return state_.document / corpus_.documents(); }
  // Documents whose end was cut off so far in this process (kBestFit).
  std::uint64_t truncated() const { return truncated_; }

  // The state with what it belongs to. from_json raises Error (bad input) when corpus, seed, length or packing are
  // others.
  Json to_json() const;
  void from_json(const Json& json);

 private:
  struct Part {
    std::uint64_t document, begin, count;  // `count` may hold the separator behind the document's last token
  };
  using Parts = std::vector<Part>;

  std::uint64_t document_at(std::uint64_t place) const;
  std::uint64_t length_of(std::uint64_t document) const;  // with the separator
  Parts next_parts();
  Parts next_concatenated();
  Parts next_packed();
  void pack_window();
  TrainingSequence build(const Parts& parts) const;
  void append(const Part& part, TrainingSequence& sequence) const;

  const TokenCorpus& corpus_;
  SamplerOptions options_;
  SamplerState state_;
  std::optional<std::uint64_t> packed_;  // the window that `window_` holds
  std::vector<Parts> window_;
  std::uint64_t window_documents_ = 0;
  std::uint64_t truncated_ = 0;
};

}  // namespace kinglet
