// TokenEngine: many token sequences continued at once by one model, each with its own settings, joining and leaving
// when they please. What a server and a local chat model stand on; DecoderEngine (decoder_engine.h) is the real one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kinglet/models/decoder/token_choice.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {

struct TokenRequest {
  std::vector<TokenId> prompt;
  std::int64_t max_tokens = 128;  // new ones; fewer when the model's positions come to their end
  TokenChoice choice;
  std::uint64_t sequence = 0;  // tells equal requests with equal seeds apart (the n of a request)
  std::vector<TokenId> eos;    // any of them ends the sequence
  // Natural logarithms of the model's own probabilities with every token: of the token itself, and of this many of the
  // most likely ones. -1: neither.
  std::int64_t top_log_probabilities = -1;
};

struct TokenAlternative {
  TokenId token = 0;
  double log_probability = 0.0;
};

struct EngineToken {
  TokenId token = 0;
  double log_probability = 0.0;
  std::vector<TokenAlternative> alternatives;  // most likely first
};

enum class SequenceEnd {
  kLength,     // max_tokens, or the model's last position
  kEos,        // the last token is one of the request's eos
  kStopped,    // on_token returned false
  kCancelled,  // cancel(), or the engine is shutting down
  kFailed,     // `error` says why
};

struct SequenceResult {
  SequenceEnd end = SequenceEnd::kLength;
  std::string error;
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;  // of the prompt, whose keys and values were still there from an earlier sequence
  std::int64_t new_tokens = 0;
  double wait_seconds = 0.0;    // until the prompt's turn came
  double prompt_seconds = 0.0;  // from then until the first token
  double token_seconds = 0.0;   // from the first token to the last
};

// Both run on the engine's thread, must not throw, and should be quick: they hold up all sequences.
struct SequenceCallbacks {
  std::function<bool(const EngineToken&)> on_token;   // false ends the sequence behind this token
  std::function<void(const SequenceResult&)> on_end;  // exactly once, behind the last on_token
};

struct EngineState {
  std::int64_t waiting = 0;  // sequences whose prompt has not been begun
  std::int64_t running = 0;
  std::uint64_t prompt_tokens = 0;  // computed since the start
  std::uint64_t new_tokens = 0;
  std::uint64_t cached_tokens = 0;
};

class TokenEngine {
 public:
  virtual ~TokenEngine() = default;

  // Queues a sequence; thread-safe. Raises Error (bad input) for what the model cannot take: an empty prompt, one
  // longer than its positions, tokens outside the vocabulary, settings out of range. No callback comes then.
  virtual std::uint64_t submit(TokenRequest request, SequenceCallbacks callbacks) = 0;
  // Ends a sequence with kCancelled within a step; nothing for one that has ended. Thread-safe.
  virtual void cancel(std::uint64_t sequence) = 0;
  virtual EngineState state() const = 0;           // thread-safe
  virtual std::int64_t max_positions() const = 0;  // prompt and new tokens together
  virtual std::int64_t vocabulary_size() const = 0;
};

}  // namespace kinglet
