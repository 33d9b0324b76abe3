// The TokenEngine of a decoder: continuous batching on one thread of its own.
//
// A step takes one token of every sequence that is being decoded, and some tokens of prompts that wait for their turn,
// so that a long prompt does not hold up the others. Sequences join and leave between steps. Keys and values of a
// sequence that has ended stay until their place is needed; a prompt that begins like one of them, or like one still
// running, goes on from there.
//
// Greedy tokens of an fp32 model are those of generate() alone, whatever else runs (but where rounding decides between
// two tokens: long prompts come in pieces). Sampled ones depend on the request's seed and sequence, not on the batch.
// In bf16 and int8 a piece of a prompt rounds differently from single tokens, so what is taken over from another
// sequence can change what follows.
#pragma once

#include <cstdint>
#include <memory>

#include "kinglet/models/decoder/decoder.h"
#include "kinglet/models/decoder/token_engine.h"

namespace kinglet {

struct EngineOptions {
  std::int64_t parallel = 8;         // sequences at work at once; the others wait, first come first served
  std::int64_t context = 0;          // > 0: no sequence is longer, prompt and new tokens together
  std::int64_t prompt_piece = 256;   // tokens of prompts in a step
  std::int64_t shortest_prefix = 8;  // tokens of a common beginning that are worth taking over
};

// The decoder must not be used elsewhere while the engine lives. Destroying the engine cancels what is open. Raises
// Error (bad input) for options out of range.
std::unique_ptr<TokenEngine> make_decoder_engine(std::shared_ptr<Decoder> decoder, const EngineOptions& options = {});

}  // namespace kinglet
