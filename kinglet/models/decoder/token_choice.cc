#include "kinglet/models/decoder/token_choice.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/rng.h"
#include "kinglet/kernels/logits.h"

namespace kinglet {
namespace {

void check(bool holds, const char* name, double value, const char* range) {
  if (!holds) throw bad_input(name, fmt::format("{} is not {}", value, range));
}

void penalise(std::span<float> logits, std::span<const TokenId> seen, double penalty) {
  if (penalty == 1.0) return;
  for (const TokenId token : seen) {
    if (token < 0 || static_cast<std::size_t>(token) >= logits.size()) continue;
    float& logit = logits[static_cast<std::size_t>(token)];
    logit = static_cast<float>(logit < 0 ? logit * penalty : logit / penalty);
  }
}

std::size_t most_likely(std::span<const float> logits) {
  const LargestLogit largest = logits.empty() ? LargestLogit{0, true} : largest_logit(logits);
  if (largest.has_nan || !std::isfinite(logits[largest.index])) {
    throw failed("", "the model's logits are not finite", "its weights are damaged or their type is too narrow");
  }
  return largest.index;
}

// The smallest of the k largest.
float largest_but(std::span<const float> logits, std::int64_t k) {
  std::vector<float> sorted(logits.begin(), logits.end());
  const auto place = sorted.begin() + (k - 1);
  std::nth_element(sorted.begin(), place, sorted.end(), std::greater<>());
  return *place;
}

bool more_likely(const Candidate& a, const Candidate& b) {
  return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
}

// Leaves the most likely candidates, up to the one with which they reach `enough`. Usually those are few, so that only
// the head is sorted, in pieces.
void keep_share(std::vector<Candidate>& all, double enough) {
  double before = 0.0;
  std::size_t sorted = 0;
  for (std::size_t kept = 0; kept < all.size(); ++kept) {
    if (kept > 0 && before >= enough) {
      all.resize(kept);
      return;
    }
    if (kept == sorted) {
      sorted = std::min(all.size(), std::max<std::size_t>(64, 4 * sorted));
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(kept);
      std::partial_sort(begin, all.begin() + static_cast<std::ptrdiff_t>(sorted), all.end(), more_likely);
    }
    before += all[kept].probability;
  }
}

// In (0, 1) but for 0; each step goes through the seeding of the generator, so that neighbours differ in all bits.
double uniform_at(std::uint64_t seed, std::uint64_t sequence, std::uint64_t position) {
  const std::uint64_t stream = Rng(Rng(seed).next() + sequence).next();
  return Rng(stream + position).uniform();
}

}  // namespace

void check_token_choice(const TokenChoice& settings) {
  check(std::isfinite(settings.temperature) && settings.temperature >= 0, "temperature", settings.temperature,
        "a number from 0");
  check(settings.top_k >= 0, "top-k", static_cast<double>(settings.top_k), "0 (all) or more");
  check(settings.top_p > 0 && settings.top_p <= 1, "top-p", settings.top_p, "above 0 and at most 1");
  check(settings.min_p >= 0 && settings.min_p <= 1, "min-p", settings.min_p, "from 0 to 1");
  check(std::isfinite(settings.repetition_penalty) && settings.repetition_penalty > 0, "repetition-penalty",
        settings.repetition_penalty, "above 0");
}

std::vector<Candidate> candidate_tokens(std::span<float> logits, std::span<const TokenId> seen,
                                        const TokenChoice& settings) {
  penalise(logits, seen, settings.repetition_penalty);
  const std::size_t best = most_likely(logits);
  if (settings.temperature == 0.0) return {{static_cast<TokenId>(best), 1.0}};

  const bool some = settings.top_k > 0 && static_cast<std::size_t>(settings.top_k) < logits.size();
  const float least = some ? largest_but(logits, settings.top_k) : -INFINITY;
  std::vector<float> weights(logits.size());  // 1 for the most likely
  double sum =
      softmax_weights(logits, logits[best], std::max(1e-30F, static_cast<float>(settings.temperature)), weights);
  // All tokens below this together are less than what top-p leaves away, so none of them is taken.
  const double share_left = (1.0 - settings.top_p) * 0.99 * sum / static_cast<double>(logits.size());
  const auto tail = static_cast<float>(some ? 0.0 : std::max(settings.min_p, share_left));
  std::vector<Candidate> all;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const bool is_candidate = some ? logits[i] >= least : weights[i] >= tail;
    if (is_candidate && weights[i] > 0.0F) all.push_back({static_cast<TokenId>(i), static_cast<double>(weights[i])});
  }
  if (some) {
    sum = 0.0;
    for (const Candidate& one : all) sum += one.probability;
  }
  if (settings.top_p < 1) keep_share(all, settings.top_p * sum);
  std::erase_if(all, [&](const Candidate& one) { return one.probability < settings.min_p; });
  double total = 0.0;
  for (const Candidate& one : all) total += one.probability;
  for (Candidate& one : all) one.probability /= total;
  if (settings.top_p < 1) {
    std::sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
  }
  return all;
}

TokenId choose_token(std::span<float> logits, std::span<const TokenId> seen, const TokenChoice& settings,
                     std::uint64_t sequence, std::uint64_t position) {
  const std::vector<Candidate> all = candidate_tokens(logits, seen, settings);
  if (all.size() == 1) return all.front().token;
  double left = uniform_at(settings.seed, sequence, position);
  for (const Candidate& one : all) {
    left -= one.probability;
    if (left < 0) return one.token;
  }
  return all.back().token;  // rounding
}

}  // namespace kinglet
