// A SentencePiece model file (sentencepiece_model.proto), read without its library: that one brings a protocol-buffer
// runtime whose symbols take the place of the one that LibTorch is linked with, and a program with both crashes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/base/files.h"

namespace kinglet {

struct SentencePieceModel {
  enum class Type { kUnigram = 1, kBpe = 2, kWord = 3, kCharacter = 4 };
  enum class PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
  struct Piece {
    std::string text;
    double score = 0.0;
    PieceType type = PieceType::kNormal;
  };

  std::vector<Piece> pieces;  // by id
  Type type = Type::kUnigram;
  bool byte_fallback = false;
  bool spaces_behind_words = false;                // treat_whitespace_as_suffix
  std::string unknown_surface = " \xE2\x81\x87 ";  // U+2047 between blanks
  std::string bos = "<s>", eos = "</s>", padding = "<pad>";

  ByteView character_map;  // precompiled_charsmap, into the file's bytes; may be empty
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

// Raises Error (bad input) that names `where` when the file is damaged, or has not exactly one unknown piece.
SentencePieceModel parse_sentencepiece_model(std::string_view model, std::string_view where);

}  // namespace kinglet
