#include "kinglet/text/prompt_tokens.h"

#include <algorithm>

namespace kinglet {

std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenId> tokens = tokenizer.encode(text);
  const std::vector<TokenId> plain = tokenizer.encode(text, false);
  const auto found = std::search(tokens.begin(), tokens.end(), plain.begin(), plain.end());
  if (found == tokens.end()) return tokens;
  if (!plain.empty()) {
    tokens.erase(found + static_cast<std::ptrdiff_t>(plain.size()), tokens.end());
  } else if (const auto begin = begin_token(tokenizer)) {
    tokens = {*begin};
  }
  return tokens;
}

std::optional<TokenId> begin_token(const Tokenizer& tokenizer) {
  const std::vector<TokenId> around = tokenizer.encode("");
  if (around.empty() || !tokenizer.bos() || around.front() != *tokenizer.bos()) return std::nullopt;
  return around.front();
}

}  // namespace kinglet
