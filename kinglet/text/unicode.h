// Properties of characters and normal forms, through ICU, as the `tokenizers` package has them. All functions are
// thread-safe.
//
// That package's tables are of several ages: normal forms and accents know Unicode 9, punctuation Unicode 8, the rest
// Unicode 16. Later characters are treated as unassigned there, and so here.
#pragma once

#include <string>
#include <string_view>

namespace kinglet {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// Texts are valid UTF-8.
std::string normalize(std::string_view text, NormalForm form);

bool is_whitespace(char32_t code);      // the property White_Space
bool is_numeric(char32_t code);         // general category N
bool is_punctuation(char32_t code);     // general category P, or ASCII punctuation such as '$' and '+'
bool is_word(char32_t code);            // \w: letters, marks, decimal digits, connectors, joiners
bool is_combining_mark(char32_t code);  // general category M

// Each character by itself, with the final form of no letter.
std::string lowercase(std::string_view text);

}  // namespace kinglet
