#include "kinglet/train/corpus_batches.h"

#include <fmt/format.h>

#include "kinglet/base/hash.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

SamplerOptions sampling(const CorpusBatchSettings& settings) {
  SamplerOptions options;
  options.sequence_length = static_cast<std::uint64_t>(settings.tokens) + 1;
  options.seed = settings.seed;
  options.packing = settings.packing;
  options.shuffle = settings.shuffle;
  options.separator = settings.separator;
  options.padding = settings.padding;
  options.separate_documents = settings.separate_documents;
  return options;
}

}  // namespace

CorpusBatches::CorpusBatches(std::shared_ptr<const TokenCorpus> corpus, const CorpusBatchSettings& settings)
    : corpus_(std::move(corpus)), settings_(settings), sampling_(sampling(settings)), sampler_(*corpus_, sampling_) {
  TORCH_CHECK(settings.batch > 0 && settings.tokens > 0, "batch and tokens must be positive");
  fingerprint_ =
      fmt::format("{} batch {} tokens {} seed {} {}{}{}", hex64(corpus_->checksum()), settings.batch, settings.tokens,
                  settings.seed, settings.packing == Packing::kConcatenate ? "concatenate" : "best-fit",
                  settings.shuffle ? "" : " in order", settings.separate_documents ? " separate" : "");
}

LanguageBatch CorpusBatches::batch(std::int64_t number) const {
  const std::int64_t rows = settings_.batch, tokens = settings_.tokens;
  LanguageBatch result{at::empty({rows, tokens}, at::kLong), at::empty({rows, tokens}, at::kLong), {}, {}};
  if (settings_.separate_documents) {
    result.positions = at::empty({rows, tokens}, at::kLong);
    result.first_key = at::empty({rows, tokens}, at::kInt);
  }
  sampler_.seek(static_cast<std::uint64_t>(number * rows));
  for (std::int64_t row = 0; row < rows; ++row) fill_row(result, row, sampler_.next());
  return result;
}

void CorpusBatches::fill_row(LanguageBatch& batch, std::int64_t row, const TrainingSequence& sequence) const {
  const std::int64_t count = settings_.tokens;
  auto* const tokens = batch.tokens.data_ptr<std::int64_t>() + row * count;
  auto* const labels = batch.labels.data_ptr<std::int64_t>() + row * count;
  for (std::int64_t i = 0; i < count; ++i) {
    tokens[i] = sequence.input_ids[static_cast<std::size_t>(i)];
    labels[i] = sequence.labels[static_cast<std::size_t>(i) + 1];
  }
  if (!settings_.separate_documents) return;
  auto* const positions = batch.positions.data_ptr<std::int64_t>() + row * count;
  auto* const first_key = batch.first_key.data_ptr<std::int32_t>() + row * count;
  for (std::int64_t i = 0; i < count; ++i) positions[i] = sequence.position_ids[static_cast<std::size_t>(i)];
  // Padding counts as a document of its own.
  const std::vector<std::uint32_t>& boundaries = sequence.boundaries;
  for (std::size_t part = 0; part < boundaries.size(); ++part) {
    const auto begin = static_cast<std::int64_t>(boundaries[part]);
    const std::int64_t end = part + 1 < boundaries.size() ? std::min<std::int64_t>(boundaries[part + 1], count) : count;
    for (std::int64_t i = begin; i < end; ++i) first_key[i] = static_cast<std::int32_t>(begin);
  }
}

CorpusBatches::Epoch CorpusBatches::measure_epoch() const {
  Sampler sampler(*corpus_, sampling_);
  Epoch epoch;
  for (; sampler.epoch() == 0; ++epoch.sequences) sampler.seek(epoch.sequences + 1);
  epoch.truncated = sampler.truncated();
  return epoch;
}

}  // namespace kinglet
