// Bringing answers in LaTeX to one form, so that equal answers are equal texts: votes can be counted by text.
//
// It is a normaliser of spelling with exact arithmetic for plain numbers, not algebra: x+1 and 1+x stay apart.
#pragma once

#include <string>
#include <string_view>

namespace kinglet::fot {

// "\dfrac12", "\frac{1}{2}", "0.5", "1/2" -> "1/2"; "10\%" -> "10"; "x=5" -> "5"; "\left( 3, \frac{\pi}{2} \right)" ->
// "(3,\frac{\pi}{2})"; "1,234" -> "1234"; "\text{Evelyn}" -> "Evelyn". Texts above 2000 bytes are only trimmed.
std::string normal_form(std::string_view answer);

inline bool same_answer(std::string_view a, std::string_view b) { return normal_form(a) == normal_form(b); }

}  // namespace kinglet::fot
