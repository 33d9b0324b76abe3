#include "kinglet/text/sentencepiece_model.h"

#include <algorithm>

#include "kinglet/base/byte_io.h"
#include "kinglet/base/error.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;   // of a varint
  float number32 = 0.0F;     // of four fixed bytes
  std::string_view content;  // of a text or a message
};

// Calls visit for each field of a message.
template <typename Visit>
void for_each_field(std::string_view message, std::string_view where, const Visit& visit) {
  ByteReader reader(as_bytes(message), where);
  while (reader.remaining() > 0) {
    const std::uint64_t tag = reader.varint();
    Field field{tag >> 3, 0, 0.0F, {}};
    switch (tag & 7) {
      case 0:
        field.value = reader.varint();
        break;
      case 1:
        reader.take(8);
        break;
      case 2:
        field.content = as_text(reader.take(reader.varint()));
        break;
      case 5:
        field.number32 = reader.number<float>();
        break;
      default:
        reader.fail("a field has an unknown wire type");
    }
    visit(field);
  }
}

// The numbers of the fields are those of sentencepiece_model.proto.

SentencePieceModel::Piece read_piece(std::string_view message, std::string_view where) {
  SentencePieceModel::Piece piece;
  for_each_field(message, where, [&](const Field& field) {
    if (field.number == 1) piece.text = utf8::replace_invalid(field.content);
    if (field.number == 2) piece.score = static_cast<double>(field.number32);
    if (field.number == 3) {
      if (field.value < 1 || field.value > 6) throw bad_input(where, "a piece has an unknown type");
      piece.type = static_cast<SentencePieceModel::PieceType>(field.value);
    }
  });
  return piece;
}

void read_trainer(std::string_view message, std::string_view where, SentencePieceModel& model) {
  for_each_field(message, where, [&](const Field& field) {
    switch (field.number) {
      case 3:
        if (field.value < 1 || field.value > 4) throw bad_input(where, "the model has an unknown type");
        model.type = static_cast<SentencePieceModel::Type>(field.value);
        break;
      case 24:
        model.spaces_behind_words = field.value != 0;
        break;
      case 35:
        model.byte_fallback = field.value != 0;
        break;
      case 44:
        model.unknown_surface = utf8::replace_invalid(field.content);
        break;
      case 46:
        model.bos = field.content;
        break;
      case 47:
        model.eos = field.content;
        break;
      case 48:
        model.padding = field.content;
        break;
      default:
        break;
    }
  });
}

void read_normalizer(std::string_view message, std::string_view where, SentencePieceModel& model) {
  for_each_field(message, where, [&](const Field& field) {
    if (field.number == 2) model.character_map = as_bytes(field.content);
    if (field.number == 3) model.add_dummy_prefix = field.value != 0;
    if (field.number == 4) model.remove_extra_whitespaces = field.value != 0;
    if (field.number == 5) model.escape_whitespaces = field.value != 0;
  });
}

}  // namespace

SentencePieceModel parse_sentencepiece_model(std::string_view bytes, std::string_view where) {
  SentencePieceModel model;
  for_each_field(bytes, where, [&](const Field& field) {
    if (field.number == 1) model.pieces.push_back(read_piece(field.content, where));
    if (field.number == 2) read_trainer(field.content, where, model);
    if (field.number == 3) read_normalizer(field.content, where, model);
  });
  const auto unknown = std::count_if(model.pieces.begin(), model.pieces.end(), [](const auto& piece) {
    return piece.type == SentencePieceModel::PieceType::kUnknown;
  });
  if (unknown != 1) throw bad_input(where, "is no SentencePiece model: it must have one unknown piece");
  return model;
}

}  // namespace kinglet
