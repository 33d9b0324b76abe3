// The bytes that one token stands for inside a text, whatever its neighbours: for showing tokens one by one.
#pragma once

#include <optional>
#include <string>

#include "kinglet/text/tokenizer.h"

namespace kinglet {

// Joined, the bytes of a text's tokens are the text in UTF-8, but for a leading blank that some tokenizers drop at the
// beginning. The tokenizer must outlive it; thread-safe.
class TokenBytes {
 public:
  explicit TokenBytes(const Tokenizer& tokenizer);
  // May be half a character. Nothing for special tokens and ids outside the vocabulary: they have no text.
  std::optional<std::string> of(TokenId id) const;

 private:
  enum class Kind { kByteLevel, kByteFallback, kOther };

  const Tokenizer& tokenizer_;
  Kind kind_ = Kind::kOther;
};

// `bytes` as a text: bytes that are no UTF-8 as \xNN.
std::string readable_token(std::string_view bytes);

}  // namespace kinglet
