#include "kinglet/text/sampler.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/permutation.h"

namespace kinglet {
namespace {

constexpr std::uint64_t kMaxWindow = 1 << 20;

std::string_view packing_name(Packing packing) { return packing == Packing::kConcatenate ? "concatenate" : "best-fit"; }

void check(const SamplerOptions& options) {
  const auto refuse = [](std::string_view what) { throw bad_input("sampler", what); };
  if (options.sequence_length == 0 || options.sequence_length > (std::uint64_t{1} << 31)) {
    refuse("the sequence length must be from 1 to 2^31");
  }
  if (options.window == 0 || options.window > kMaxWindow) refuse("the window must be from 1 to 2^20 documents");
  if (options.world_size == 0 || options.rank >= options.world_size) refuse("the rank must be below the world size");
}

}  // namespace

Sampler::Sampler(const TokenCorpus& corpus, const SamplerOptions& options) : corpus_(corpus), options_(options) {
  check(options);
  if (corpus.documents() == 0 || (corpus.tokens() == 0 && !options.separator)) {
    throw bad_input(corpus.path().string(), "the corpus is empty");
  }
}

std::uint64_t Sampler::document_at(std::uint64_t place) const {
  const std::uint64_t epoch = place / corpus_.documents(), position = place % corpus_.documents();
  if (!options_.shuffle) return position;
  const std::uint64_t numbers[] = {options_.seed, epoch};
  return Permutation(corpus_.documents(), xxh3(std::as_bytes(std::span(numbers))))(position);
}

std::uint64_t Sampler::length_of(std::uint64_t document) const {
  return corpus_.length(document) + (options_.separator ? 1 : 0);
}

TrainingSequence Sampler::next() {
  // Lengths alone tell where the sequences of other ranks end; their tokens are not touched.
  while (state_.sequences % options_.world_size != options_.rank) {
    next_parts();
    ++state_.sequences;
  }
  const Parts parts = next_parts();
  ++state_.sequences;
  TrainingSequence sequence = build(parts);
  // All ranks stand at the same place when every one has taken its sequence.
  while (state_.sequences % options_.world_size != 0) {
    next_parts();
    ++state_.sequences;
  }
  return sequence;
}

Sampler::Parts Sampler::next_parts() {
  return options_.packing == Packing::kConcatenate ? next_concatenated() : next_packed();
}

Sampler::Parts Sampler::next_concatenated() {
  Parts parts;
  std::uint64_t missing = options_.sequence_length;
  while (missing > 0) {
    const std::uint64_t document = document_at(state_.document);
    const std::uint64_t length = length_of(document);
    const std::uint64_t count = std::min(missing, length - state_.offset);
    if (count > 0) parts.push_back({document, state_.offset, count});
    missing -= count;
    state_.offset += count;
    if (state_.offset == length) {
      ++state_.document;
      state_.offset = 0;
    }
  }
  return parts;
}

void Sampler::seek(std::uint64_t sequence) {
  if (sequence < state_.sequences) {
    state_ = {};
    packed_.reset();
  }
  if (options_.packing == Packing::kConcatenate) {
    // Every epoch has the same number of tokens, so whole ones need no walk.
    const std::uint64_t epoch_tokens = corpus_.tokens() + (options_.separator ? corpus_.documents() : 0);
    const std::uint64_t epoch = sequence * options_.sequence_length / epoch_tokens;
    if (epoch > this->epoch()) {
      std::uint64_t left = sequence * options_.sequence_length - epoch * epoch_tokens;
      state_ = {epoch * corpus_.documents(), 0, sequence};
      for (; left > 0 && left >= length_of(document_at(state_.document)); ++state_.document) {
        left -= length_of(document_at(state_.document));
      }
      state_.offset = left;
      return;
    }
  }
  for (; state_.sequences < sequence; ++state_.sequences) next_parts();
}

// ---- best fit --------------------------------------------------------------------------------------------------

Sampler::Parts Sampler::next_packed() {
  for (;;) {
    if (packed_ != state_.document) pack_window();
    if (state_.offset < window_.size()) return window_[state_.offset++];
    state_.document += window_documents_;
    state_.offset = 0;
  }
}

// Longest documents first, each into the sequence that it fills best; then the sequences in the order of the first
// document that they hold, so that short and long ones are mixed as they came.
void Sampler::pack_window() {
  const std::uint64_t left_in_epoch = corpus_.documents() - state_.document % corpus_.documents();
  window_documents_ = std::min(options_.window, left_in_epoch);
  struct Candidate {
    std::uint64_t place;
    Part part;
  };
  std::vector<Candidate> candidates;
  for (std::uint64_t i = 0; i < window_documents_; ++i) {
    const std::uint64_t document = document_at(state_.document + i);
    const std::uint64_t length = length_of(document);
    if (length > options_.sequence_length) ++truncated_;
    if (length > 0) candidates.push_back({i, {document, 0, std::min(length, options_.sequence_length)}});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.part.count > b.part.count; });
  std::vector<std::vector<Candidate>> bins;
  std::multimap<std::uint64_t, std::size_t> room;  // free tokens -> bin
  for (const Candidate& candidate : candidates) {
    auto found = room.lower_bound(candidate.part.count);
    std::size_t bin = bins.size();
    std::uint64_t free = options_.sequence_length;
    if (found == room.end()) {
      bins.emplace_back();
    } else {
      std::tie(free, bin) = *found;
      room.erase(found);
    }
    bins[bin].push_back(candidate);
    room.emplace(free - candidate.part.count, bin);
  }
  for (auto& bin : bins) {
    std::sort(bin.begin(), bin.end(), [](const Candidate& a, const Candidate& b) { return a.place < b.place; });
  }
  std::sort(bins.begin(), bins.end(), [](const auto& a, const auto& b) { return a[0].place < b[0].place; });
  window_.clear();
  for (const auto& bin : bins) {
    Parts& parts = window_.emplace_back();
    for (const Candidate& candidate : bin) parts.push_back(candidate.part);
  }
  packed_ = state_.document;
}

// ---- tokens ----------------------------------------------------------------------------------------------------

TrainingSequence Sampler::build(const Parts& parts) const {
  TrainingSequence sequence;
  sequence.input_ids.reserve(options_.sequence_length);
  for (const Part& part : parts) {
    sequence.boundaries.push_back(static_cast<std::uint32_t>(sequence.input_ids.size()));
    append(part, sequence);
  }
  sequence.boundaries.push_back(static_cast<std::uint32_t>(sequence.input_ids.size()));
  sequence.input_ids.resize(options_.sequence_length, options_.padding);
  sequence.labels.resize(options_.sequence_length, kUntrainedLabel);
  sequence.position_ids.resize(options_.sequence_length, 0);
  return sequence;
}

void Sampler::append(const Part& part, TrainingSequence& sequence) const {
  const std::size_t first = sequence.input_ids.size();
  const std::uint64_t in_corpus =
      std::min(part.count, corpus_.length(part.document) - std::min(part.begin, corpus_.length(part.document)));
  corpus_.read(part.document, part.begin, in_corpus, sequence.input_ids);
  for (std::uint64_t i = 0; i < in_corpus; ++i) {
    const bool trained = corpus_.trained(part.document, part.begin + i);
    sequence.labels.push_back(trained ? sequence.input_ids[first + i] : kUntrainedLabel);
  }
  if (in_corpus < part.count) {
    sequence.input_ids.push_back(*options_.separator);
    sequence.labels.push_back(*options_.separator);
  }
  if (options_.separate_documents && part.begin == 0) sequence.labels[first] = kUntrainedLabel;
  for (std::uint64_t i = 0; i < part.count; ++i) sequence.position_ids.push_back(static_cast<std::int32_t>(i));
}

// ---- state -----------------------------------------------------------------------------------------------------

Json Sampler::to_json() const {
  return {{"document", state_.document},
          {"offset", state_.offset},
          {"sequences", state_.sequences},
          {"seed", options_.seed},
          {"sequence_length", options_.sequence_length},
          {"packing", packing_name(options_.packing)},
          {"window", options_.window},
          {"shuffle", options_.shuffle},
          {"separator", options_.separator ? Json(*options_.separator) : Json()},
          {"corpus", hex64(corpus_.checksum())}};
}

void Sampler::from_json(const Json& json) {
  constexpr std::string_view kWhere = "sampler state";
  const Json own = to_json();
  if (!json.is_object()) throw bad_input(kWhere, "not an object");
  for (const char* name : {"seed", "sequence_length", "packing", "window", "shuffle", "separator", "corpus"}) {
    if (!json.contains(name)) throw bad_input(kWhere, fmt::format("'{}' is missing", name));
    if (json[name] != own[name]) {
      throw bad_input(
          kWhere,
          fmt::format("'{}' is {}, but was {} when the state was saved", name, own[name].dump(), json[name].dump()),
          "go on with the same data and options, or start anew");
    }
  }
  const auto number = [&](const char* name) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_number_integer() || *found < 0) {
      throw bad_input(kWhere, fmt::format("'{}' is missing or no number", name));
    }
    return found->get<std::uint64_t>();
  };
  SamplerState state{number("document"), number("offset"), number("sequences")};
  const bool beyond = options_.packing == Packing::kConcatenate && state.offset > 0 &&
                      state.offset >= length_of(document_at(state.document));
  if (beyond || state.document > (std::uint64_t{1} << 62))
    throw bad_input(kWhere, "the place is outside of the corpus");
  state_ = state;
  packed_.reset();
}

}  // namespace kinglet
