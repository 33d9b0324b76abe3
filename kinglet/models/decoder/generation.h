// Continuing token sequences with a decoder: a batch of prompts of any lengths, one token a step, with the KV cache.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kinglet/models/decoder/decoder.h"
#include "kinglet/models/decoder/token_choice.h"

namespace kinglet {

struct GenerationOptions {
  std::int64_t max_tokens = 128;  // of each sequence; fewer when its positions come to their end
  TokenChoice choice;
  std::vector<TokenId> eos;          // any of them ends a sequence
  bool log_probabilities = false;    // of the tokens chosen
  std::uint64_t first_sequence = 0;  // number of prompts[0] in the random choice: batches of one run differ in it
  std::int64_t prompt_piece = 512;   // tokens of the prompts that are computed at once
};

enum class GenerationEnd {
  kLength,       // max_tokens, or the model's last position
  kEos,          // the last token is one of options.eos
  kStopped,      // the callback ended it
  kInterrupted,  // SIGINT or SIGTERM (base/interrupt.h)
};

struct Generation {
  std::vector<TokenId> tokens;            // new ones, with the eos that ended them
  std::vector<double> log_probabilities;  // of `tokens`, when asked for; see GeneratedToken
  GenerationEnd finish = GenerationEnd::kLength;
};

struct GeneratedToken {
  std::size_t sequence = 0;   // index into the prompts
  std::int64_t position = 0;  // 0: the first new one
  TokenId token = 0;
  // Natural logarithm of what the model itself gives the token: before penalty, temperature and filters. 0 when not
  // asked for.
  double log_probability = 0.0;
};

// Called with every token, in order of sequences within a step; false ends the sequence behind this token.
using OnToken = std::function<bool(const GeneratedToken&)>;

// Greedy tokens are those of each prompt alone. Sampled tokens of sequence i depend on the seed, first_sequence + i and
// the logits only, not on the rest of the batch (but where rounding moves a probability across the number drawn). An
// interrupt ends all sequences; what they have is returned. Without autograd. Raises Error (bad input) for an empty
// prompt, one longer than the model's positions, tokens outside the vocabulary, or options out of range.
std::vector<Generation> generate(Decoder& decoder, const std::vector<std::vector<TokenId>>& prompts,
                                 const GenerationOptions& options, const OnToken& on_token = {});

}  // namespace kinglet
