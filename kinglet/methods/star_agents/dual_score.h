// How well a response fits the target model: IFD of two scorers and their gap (Star-Agents, eq. 4 and 5).
//
//   L_cond = -(1/T) sum log P(r_t | instruction, r_<t)      L_unc = -(1/T) sum log P(r_t | r_<t)
//   IFD = exp(L_cond - L_unc), a ratio of perplexities: near 0 the instruction gives the answer away, near 1 it does
//   not help, above 1 the two do not belong together.
//   gap = IFD_small - IFD_large,  dual score = gap / (largest gap among the candidates of the same seed)
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace kinglet::star_agents {

enum class ScoreStatus {
  kScored,
  kEmpty,           // the response has no token
  kPromptTooLong,   // the prompt fills the model's window
  kNotFinite,       // a log-probability or the ratio is NaN or infinite
  kNothingToGuess,  // the response is certain even without the instruction: no ratio
  kFailed,          // the scorer could not be asked
};
std::string_view name_of(ScoreStatus status);

// What one scorer says about one response. Both means are over the same tokens.
struct Likelihoods {
  ScoreStatus status = ScoreStatus::kFailed;
  double conditional = 0;    // L_cond, nats a token
  double unconditional = 0;  // L_unc
  std::int64_t tokens = 0;   // T
  std::int64_t bytes = 0;    // of the scored part of the response
  bool truncated = false;    // the response was cut to the window

  bool scored() const { return status == ScoreStatus::kScored; }
};

// From the log-probabilities of the same response tokens with and without the instruction. `bytes` is kept as it is.
Likelihoods likelihoods_of(std::span<const double> conditional, std::span<const double> unconditional,
                           std::int64_t bytes);

enum class IfdUnit {
  kToken,
  kByte,  // both logarithms a byte of text: comparable between scorers with different tokenizers
};

// Nothing for what is not scored.
std::optional<double> ifd_perplexity(const Likelihoods& likelihoods, IfdUnit unit = IfdUnit::kToken);
// The ratio of mean losses L_cond / L_unc, which Cherry LLM's script and Data-Juicer call IFD; it ranks differently.
std::optional<double> ifd_loss(const Likelihoods& likelihoods);

struct DualOptions {
  IfdUnit unit = IfdUnit::kToken;
  // The formula of the paper without its guards. The raw gap rewards garbage wherever the small model is over-confident
  // (IFD above 1), and dividing by a negative maximum turns the order round.
  bool raw = false;
  double least_gap = 1e-6;  // a seed whose largest gap is no larger has nothing tailored: every dual score is 0
};

// IFD_small - IFD_large, each clipped to at most 1 unless raw. Nothing when one of the two is not scored.
std::optional<double> ifd_gap(const Likelihoods& small, const Likelihoods& large, const DualOptions& options = {});

// Of the candidates of one seed, the base answer among them. A candidate without a gap gets 0 and does not take part.
std::vector<double> dual_scores(std::span<const std::optional<double>> gaps, const DualOptions& options = {});

}  // namespace kinglet::star_agents
