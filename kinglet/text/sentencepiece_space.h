// How vocabularies in the manner of SentencePiece write a blank.
#pragma once

#include <string_view>

namespace kinglet {

inline constexpr std::string_view kSentencePieceSpace = "\xE2\x96\x81";  // U+2581

}  // namespace kinglet
