#include "kinglet/text/byte_level.h"

#include <vector>

#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

constexpr char32_t kCharacters = 0x100 + 68;

bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

std::array<std::string, 256> make_characters() {
  std::array<std::string, 256> characters;
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    utf8::append(characters[byte], stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++);
  }
  return characters;
}

std::vector<int> make_bytes() {
  std::vector<int> bytes(kCharacters, -1);
  for (unsigned byte = 0; byte < 256; ++byte) {
    bytes[utf8::first_character(byte_level_characters()[byte]).code] = static_cast<int>(byte);
  }
  return bytes;
}

}  // namespace

const std::array<std::string, 256>& byte_level_characters() {
  static const std::array<std::string, 256> characters = make_characters();
  return characters;
}

std::string to_byte_level(std::string_view bytes) {
  const auto& characters = byte_level_characters();
  std::string text;
  text.reserve(bytes.size() + bytes.size() / 2);
  for (const char byte : bytes) text += characters[static_cast<unsigned char>(byte)];
  return text;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  static const std::vector<int> bytes = make_bytes();
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const utf8::Character character = utf8::first_character(text.substr(at));
    if (!character.valid || character.code >= kCharacters || bytes[character.code] < 0) return std::nullopt;
    result.push_back(static_cast<char>(static_cast<unsigned char>(bytes[character.code])));
    at += character.length;
  }
  return result;
}

}  // namespace kinglet
