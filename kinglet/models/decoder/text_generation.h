// Continuing a text: tokens become text as they come, up to a text that ends it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/models/decoder/generation.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {

struct TextGeneration {
  std::string text;             // without special tokens, and without the stop text and what follows it
  Generation generation;        // with the tokens of the stop text; kStopped when there was one
  double prompt_seconds = 0.0;  // until the first token is known
  double token_seconds = 0.0;   // from then on
};

// Continues `prompt` (language_model.h: encode_prompt) by one sequence. `on_text` gets the text in pieces of whole
// characters, as soon as neither a later token nor a stop text can change them; all pieces together are the result's
// text. Special tokens, and those of options.eos, give no text. Raises Error as generate() does, and (bad input) for an
// empty stop text.
TextGeneration generate_text(Decoder& decoder, const Tokenizer& tokenizer, const std::vector<TokenId>& prompt,
                             const GenerationOptions& options, const std::vector<std::string>& stop = {},
                             const std::function<void(std::string_view)>& on_text = {});

}  // namespace kinglet
