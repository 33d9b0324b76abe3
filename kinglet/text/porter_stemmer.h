// English words without their endings: Porter's algorithm (1980) with the changes that NLTK made, which is what the
// `rouge-score` package uses.
#pragma once

#include <string>
#include <string_view>

namespace kinglet {

// word: lower-case letters and digits. "running" -> "run", "skies" -> "sky".
std::string porter_stem(std::string_view word);

}  // namespace kinglet
