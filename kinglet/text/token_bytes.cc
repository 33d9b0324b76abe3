#include "kinglet/text/token_bytes.h"

#include <algorithm>
#include <charconv>
#include <span>

#include <fmt/format.h>

#include "kinglet/text/byte_level.h"
#include "kinglet/text/sentencepiece_space.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

bool decodes_to(const Tokenizer& tokenizer, const std::string& entry, std::string_view text) {
  const std::optional<TokenId> id = tokenizer.find_id(entry);
  return id && tokenizer.decode(std::span(&*id, 1)) == text;
}

// "<0x0A>"
std::optional<char> fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(static_cast<unsigned char>(value));
}

std::string with_blanks(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t at = std::min(text.find(kSentencePieceSpace), text.size());
    result += text.substr(0, at);
    text.remove_prefix(at);
    if (text.empty()) break;
    result += ' ';
    text.remove_prefix(kSentencePieceSpace.size());
  }
  return result;
}

}  // namespace

TokenBytes::TokenBytes(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  // What a vocabulary is made of shows in the tokens of a byte that no text file spells as itself.
  if (decodes_to(tokenizer, to_byte_level("\n"), "\n")) {
    kind_ = Kind::kByteLevel;
  } else if (tokenizer.find_id("<0x0A>") || tokenizer.find_id(std::string(kSentencePieceSpace))) {
    kind_ = Kind::kByteFallback;
  }
}

std::optional<std::string> TokenBytes::of(TokenId id) const {
  if (id < 0 || id >= tokenizer_.vocabulary_size() || tokenizer_.is_special(id)) return std::nullopt;
  const std::string entry = tokenizer_.token(id);
  if (kind_ == Kind::kByteLevel) {
    auto bytes = from_byte_level(entry);
    return bytes ? std::move(*bytes) : entry;
  }
  if (kind_ == Kind::kByteFallback) {
    if (const auto byte = fallback_byte(entry)) return std::string({*byte});
    return with_blanks(entry);
  }
  return tokenizer_.decode(std::span(&id, 1));
}

std::string readable_token(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const utf8::Character character = utf8::first_character(bytes);
    for (std::size_t i = 0; i < character.length; ++i) {
      if (character.valid)
        text += bytes[i];
      else
        text += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[i]));
    }
    bytes.remove_prefix(character.length);
  }
  return text;
}

}  // namespace kinglet
