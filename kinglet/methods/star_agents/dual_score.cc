#include "kinglet/methods/star_agents/dual_score.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace kinglet::star_agents {
namespace {

double mean_loss(std::span<const double> log_probabilities) {
  return -std::accumulate(log_probabilities.begin(), log_probabilities.end(), 0.0) /
         static_cast<double>(log_probabilities.size());
}

}  // namespace

std::string_view name_of(ScoreStatus status) {
  switch (status) {
    case ScoreStatus::kScored:
      return "scored";
    case ScoreStatus::kEmpty:
      return "empty";
    case ScoreStatus::kPromptTooLong:
      return "prompt_too_long";
    case ScoreStatus::kNotFinite:
      return "not_finite";
    case ScoreStatus::kNothingToGuess:
      return "nothing_to_guess";
    case ScoreStatus::kFailed:
      break;
  }
  return "failed";
}

Likelihoods likelihoods_of(std::span<const double> conditional, std::span<const double> unconditional,
                           std::int64_t bytes) {
  assert(conditional.size() == unconditional.size());
  Likelihoods result;
  result.tokens = static_cast<std::int64_t>(conditional.size());
  result.bytes = bytes;
  if (conditional.empty()) {
    result.status = ScoreStatus::kEmpty;
    return result;
  }
  result.conditional = mean_loss(conditional);
  result.unconditional = mean_loss(unconditional);
  if (!std::isfinite(result.conditional) || !std::isfinite(result.unconditional) ||
      !std::isfinite(std::exp(result.conditional - result.unconditional))) {
    result.status = ScoreStatus::kNotFinite;
  } else if (result.unconditional == 0) {
    result.status = ScoreStatus::kNothingToGuess;
  } else {
    result.status = ScoreStatus::kScored;
  }
  return result;
}

std::optional<double> ifd_perplexity(const Likelihoods& likelihoods, IfdUnit unit) {
  if (!likelihoods.scored()) return std::nullopt;
  double gain = likelihoods.conditional - likelihoods.unconditional;
  if (unit == IfdUnit::kByte) {
    if (likelihoods.bytes <= 0) return std::nullopt;
    gain *= static_cast<double>(likelihoods.tokens) / static_cast<double>(likelihoods.bytes);
  }
  const double ifd = std::exp(gain);
  return std::isfinite(ifd) ? std::optional(ifd) : std::nullopt;
}

std::optional<double> ifd_loss(const Likelihoods& likelihoods) {
  if (!likelihoods.scored()) return std::nullopt;
  const double ratio = likelihoods.conditional / likelihoods.unconditional;
  return std::isfinite(ratio) ? std::optional(ratio) : std::nullopt;
}

std::optional<double> ifd_gap(const Likelihoods& small, const Likelihoods& large, const DualOptions& options) {
  const auto small_ifd = ifd_perplexity(small, options.unit), large_ifd = ifd_perplexity(large, options.unit);
  if (!small_ifd || !large_ifd) return std::nullopt;
  if (options.raw) return *small_ifd - *large_ifd;
  return std::min(*small_ifd, 1.0) - std::min(*large_ifd, 1.0);
}

std::vector<double> dual_scores(std::span<const std::optional<double>> gaps, const DualOptions& options) {
  std::vector<double> scores(gaps.size(), 0.0);
  std::optional<double> largest;
  for (const auto& gap : gaps) {
    if (gap && (!largest || *gap > *largest)) largest = gap;
  }
  if (!largest || (options.raw ? *largest == 0 : !(*largest > options.least_gap))) return scores;
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    if (!gaps[i]) continue;
    scores[i] = *gaps[i] / *largest;
    if (!options.raw) scores[i] = std::max(scores[i], 0.0);
  }
  return scores;
}

}  // namespace kinglet::star_agents
