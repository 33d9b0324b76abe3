// The few settings of a SentencePiece model file that its library does not give out.
#pragma once

#include <string>
#include <string_view>

namespace kinglet {

struct SentencePieceSettings {
  std::string unknown_surface = " \xE2\x81\x87 ";  // U+2047 between blanks
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
};

// Reads them from the protocol buffer `model`. Raises Error (bad input) that names `where` when it is damaged.
SentencePieceSettings read_sentencepiece_settings(std::string_view model, std::string_view where);

}  // namespace kinglet
