#include "kinglet/text/sentencepiece_model.h"

#include "kinglet/base/byte_io.h"

namespace kinglet {
namespace {

// Field numbers of sentencepiece_model.proto.
constexpr std::uint64_t kTrainerSpec = 2;
constexpr std::uint64_t kNormalizerSpec = 3;
constexpr std::uint64_t kUnknownSurface = 44;
constexpr std::uint64_t kAddDummyPrefix = 3;
constexpr std::uint64_t kRemoveExtraWhitespaces = 4;

struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;   // of a varint
  std::string_view content;  // of a text or a message
};

// Calls visit for each field of a message.
template <typename Visit>
void for_each_field(std::string_view message, std::string_view where, const Visit& visit) {
  ByteReader reader(as_bytes(message), where);
  while (reader.remaining() > 0) {
    const std::uint64_t tag = reader.varint();
    Field field{tag >> 3, 0, {}};
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
        reader.take(4);
        break;
      default:
        reader.fail("a field has an unknown wire type");
    }
    visit(field);
  }
}

}  // namespace

SentencePieceSettings read_sentencepiece_settings(std::string_view model, std::string_view where) {
  SentencePieceSettings settings;
  for_each_field(model, where, [&](const Field& part) {
    if (part.number == kTrainerSpec) {
      for_each_field(part.content, where, [&](const Field& field) {
        if (field.number == kUnknownSurface) settings.unknown_surface = field.content;
      });
    } else if (part.number == kNormalizerSpec) {
      for_each_field(part.content, where, [&](const Field& field) {
        if (field.number == kAddDummyPrefix) settings.add_dummy_prefix = field.value != 0;
        if (field.number == kRemoveExtraWhitespaces) settings.remove_extra_whitespaces = field.value != 0;
      });
    }
  });
  return settings;
}

}  // namespace kinglet
