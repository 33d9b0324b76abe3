#include "kinglet/text/jinja_text.h"

#include <cstring>

#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/uchar.h>

namespace kinglet::jinja {
namespace {

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

// Bytes of the valid character at the start of `text`; 0 when there is none.
std::size_t valid_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(text[i])) return 0;
  }
  const unsigned second = byte(1);
  const bool wrong = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                     (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return wrong ? 0 : length;
}

template <typename Convert>
std::string converted(std::string_view text, const Convert& convert) {
  std::string result;
  icu::StringByteSink<std::string> sink(&result, static_cast<int32_t>(text.size()));
  UErrorCode status = U_ZERO_ERROR;
  convert(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink, status);
  return result;
}

template <typename Belongs>
std::string_view strip_if(std::string_view text, Ends ends, const Belongs& belongs) {
  while (ends != Ends::kRight && !text.empty() && belongs(code_point_at(text, 0))) {
    text.remove_prefix(next_code_point(text, 0));
  }
  while (ends != Ends::kLeft && !text.empty()) {
    std::size_t start = text.size() - 1;
    while (start > 0 && is_continuation(text[start])) --start;
    if (!belongs(code_point_at(text, start))) break;
    text = text.substr(0, start);
  }
  return text;
}

}  // namespace

std::size_t valid_utf8_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = valid_character(text.substr(at));
    if (length == 0) break;
    at += length;
  }
  return at;
}

bool is_utf8(std::string_view text) { return valid_utf8_prefix(text) == text.size(); }

std::size_t count_code_points(std::string_view text) {
  std::size_t count = 0;
  for (const char byte : text) count += is_continuation(byte) ? 0 : 1;
  return count;
}

std::size_t next_code_point(std::string_view text, std::size_t byte) {
  do ++byte;
  while (byte < text.size() && is_continuation(text[byte]));
  return byte;
}

char32_t code_point_at(std::string_view text, std::size_t byte) {
  const auto first = static_cast<unsigned char>(text[byte]);
  if (first < 0x80) return first;
  char32_t value = first & (first >= 0xF0 ? 0x07U : first >= 0xE0 ? 0x0FU : 0x1FU);
  for (std::size_t i = byte + 1; i < text.size() && is_continuation(text[i]); ++i) {
    value = value << 6 | (static_cast<unsigned char>(text[i]) & 0x3FU);
  }
  return value;
}

void append_code_point(std::string& text, char32_t code_point) {
  const auto push = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) return push(code_point);
  if (code_point < 0x800) {
    push(0xC0 | code_point >> 6);
  } else if (code_point < 0x10000) {
    push(0xE0 | code_point >> 12);
    push(0x80 | (code_point >> 6 & 0x3F));
  } else {
    push(0xF0 | code_point >> 18);
    push(0x80 | (code_point >> 12 & 0x3F));
    push(0x80 | (code_point >> 6 & 0x3F));
  }
  push(0x80 | (code_point & 0x3F));
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t next = next_code_point(text, at);
    result.push_back(text.substr(at, next - at));
    at = next;
  }
  return result;
}

std::size_t find_part(std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  const void* found = ::memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

std::size_t find_last_part(std::string_view text, std::string_view part) {
  const std::string back(text.rbegin(), text.rend()), part_back(part.rbegin(), part.rend());
  const std::size_t found = find_part(back, part_back);
  return found == std::string_view::npos ? found : text.size() - found - part.size();
}

std::string to_upper(std::string_view text) {
  return converted(text, [](icu::StringPiece from, icu::ByteSink& to, UErrorCode& status) {
    icu::CaseMap::utf8ToUpper("", 0, from, to, nullptr, status);
  });
}

std::string to_lower(std::string_view text) {
  return converted(text, [](icu::StringPiece from, icu::ByteSink& to, UErrorCode& status) {
    icu::CaseMap::utf8ToLower("", 0, from, to, nullptr, status);
  });
}

std::string to_title(std::string_view character) {
  return converted(character, [](icu::StringPiece from, icu::ByteSink& to, UErrorCode& status) {
    constexpr uint32_t kOptions = U_TITLECASE_WHOLE_STRING | U_TITLECASE_NO_BREAK_ADJUSTMENT | U_TITLECASE_NO_LOWERCASE;
    icu::CaseMap::utf8ToTitle("", kOptions, nullptr, from, to, nullptr, status);
  });
}

bool is_space(char32_t code_point) {
  if (code_point < 0x80)
    return (code_point >= 0x09 && code_point <= 0x0D) || (code_point >= 0x1C && code_point <= 0x20);
  return u_isUWhiteSpace(static_cast<UChar32>(code_point)) != 0;
}

bool is_printable(char32_t code_point) {
  if (code_point == ' ') return true;
  const auto kind = U_GET_GC_MASK(static_cast<UChar32>(code_point));
  return (kind & (U_GC_C_MASK | U_GC_Z_MASK)) == 0;
}

bool is_letter(char32_t code_point) { return (U_GET_GC_MASK(static_cast<UChar32>(code_point)) & U_GC_L_MASK) != 0; }
bool is_digit(char32_t code_point) { return u_charType(static_cast<UChar32>(code_point)) == U_DECIMAL_DIGIT_NUMBER; }
bool is_upper(char32_t code_point) { return u_isUUppercase(static_cast<UChar32>(code_point)) != 0; }
bool is_lower(char32_t code_point) { return u_isULowercase(static_cast<UChar32>(code_point)) != 0; }
bool is_cased(char32_t code_point) {
  return is_upper(code_point) || is_lower(code_point) ||
         u_charType(static_cast<UChar32>(code_point)) == U_TITLECASE_LETTER;
}

std::string_view strip(std::string_view text, Ends ends) { return strip_if(text, ends, is_space); }

std::string_view strip(std::string_view text, std::string_view set, Ends ends) {
  return strip_if(text, ends, [&](char32_t code_point) {
    for (std::size_t at = 0; at < set.size(); at = next_code_point(set, at)) {
      if (code_point_at(set, at) == code_point) return true;
    }
    return false;
  });
}

}  // namespace kinglet::jinja
