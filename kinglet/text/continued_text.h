// The text of tokens that continue a prompt.
#pragma once

#include <string>
#include <vector>

#include "kinglet/text/tokenizer.h"

namespace kinglet {

// What a token's text is depends on those before it (a word's leading blank), so the decoder runs over the prompt
// first, whose text is dropped. The tokenizer must outlive it.
class ContinuedText {
 public:
  ContinuedText(const Tokenizer& tokenizer, const std::vector<TokenId>& prompt);
  // The text that became certain with `token`, in whole characters; may be empty.
  std::string push(TokenId token) { return without_prompt(stream_.push(token)); }
  // What was held back; U+FFFD for an incomplete character.
  std::string finish() { return without_prompt(stream_.finish()); }

 private:
  std::string without_prompt(std::string text);

  StreamDecoder stream_;
  std::string held_;  // the end of the prompt that may come with the first new text
};

}  // namespace kinglet
