// How likely a decoder finds given tokens: log-probabilities of texts, perplexity of a long one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "kinglet/models/decoder/decoder.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {

// Element i of a text's result: the natural logarithm of the probability of token i + 1 behind tokens 0 .. i; one fewer
// than the text has tokens. Without autograd. Raises Error (bad input) for a text longer than the model's positions or
// tokens outside the vocabulary; Error (interrupted).
std::vector<std::vector<double>> score(Decoder& decoder, const std::vector<std::vector<TokenId>>& texts);

struct PerplexitySettings {
  std::int64_t window = 1024;    // tokens that the model sees at once, the one of `begin` among them
  std::int64_t stride = 512;     // tokens between the starts of windows; 1 <= stride < window
  std::optional<TokenId> begin;  // put before every window (BOS), itself not scored
};

struct Perplexity {
  double value = 0.0;  // exp(-mean log-probability)
  double log_likelihood = 0.0;
  std::int64_t tokens = 0;  // scored
  std::int64_t windows = 0;
};

// Every token that has one before it is scored once, in the first window that holds it: but for the first window, with
// at least window - stride tokens before it. `on_progress`: tokens scored since the last call. Raises Error (bad input)
// when there is nothing to score or the settings do not fit each other or the model; Error (interrupted).
Perplexity perplexity(Decoder& decoder, std::span<const TokenId> text, const PerplexitySettings& settings,
                      const std::function<void(std::int64_t)>& on_progress = {});

}  // namespace kinglet
