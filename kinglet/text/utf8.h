// UTF-8 texts, one character at a time.
//
// Bytes that are not UTF-8 count in the units of the Unicode standard's "maximal subpart" rule (one U+FFFD for the
// longest start of a character), which is what Rust's and Python's lossy conversions do.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kinglet::utf8 {

inline constexpr char32_t kReplacement = 0xFFFD;
inline constexpr std::string_view kReplacementText = "\xEF\xBF\xBD";

struct Character {
  char32_t code = kReplacement;
  std::size_t length = 0;   // bytes taken; 0 only for an empty text
  bool valid = false;       // else the bytes are no character and `code` is U+FFFD
  bool incomplete = false;  // the text ends inside a character that more bytes could make valid
};

// The character or the maximal subpart at the start of `text`.
Character first_character(std::string_view text);

// Bytes of the character that begins with `lead`, in a text that is valid.
inline std::size_t length_of(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

void append(std::string& text, char32_t code);
bool is_ascii(std::string_view text);
bool is_valid(std::string_view text);
std::string replace_invalid(std::string_view text);
std::size_t count_characters(std::string_view valid);

// Calls visit(code, begin, length) for each character of a valid text.
template <typename Visit>
void for_each_character(std::string_view valid, const Visit& visit) {
  for (std::size_t at = 0; at < valid.size();) {
    const Character character = first_character(valid.substr(at));
    visit(character.code, at, character.length);
    at += character.length;
  }
}

}  // namespace kinglet::utf8
