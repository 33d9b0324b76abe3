// The bijection of byte-level BPE: each byte as one printable character, so that a vocabulary file is text.
//
// Printable Latin-1 bytes stand for themselves; the other 68 become U+0100 and up in the order of their values (GPT-2).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace kinglet {

// The character of each byte, as UTF-8.
const std::array<std::string, 256>& byte_level_characters();

std::string to_byte_level(std::string_view bytes);
// Nothing when a character stands for no byte.
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace kinglet
