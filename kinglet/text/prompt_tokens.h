// The tokens of a text that a model is to continue.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "kinglet/text/tokenizer.h"

namespace kinglet {

// The tokens of a text to be continued: with the tokens that the tokenizer puts before a text, without those behind it.
// Raises Error (bad input) as Tokenizer::encode does.
std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, std::string_view text);

// The token that the tokenizer puts before every text, if it is one.
std::optional<TokenId> begin_token(const Tokenizer& tokenizer);

}  // namespace kinglet
