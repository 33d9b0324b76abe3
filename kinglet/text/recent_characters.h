// The characters that Unicode 15.0 to 16.0 added, which Debian 12's PCRE2 (Unicode 14) does not know.
//
// The software that made the tokenizer files classifies them; a pattern that has them spelled out gives the same
// pieces.
#pragma once

#include <string>
#include <string_view>

namespace kinglet {

// What to add between the brackets of a class for a property: a general category ("L", "Nd"), "Han", "Alphabetic",
// "Uppercase" or "Lowercase"; empty for others.
std::string recent_characters_of(std::string_view property);
// The general category of such a character; empty for all others.
std::string_view recent_category(char32_t code);

}  // namespace kinglet
