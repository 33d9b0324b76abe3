#include "kinglet/text/unicode.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/unistr.h>

#include "kinglet/base/error.h"
#include "kinglet/text/recent_characters.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

const icu::Normalizer2& normalizer_of(NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = nullptr;
  switch (form) {
    case NormalForm::kNfc:
      normalizer = icu::Normalizer2::getNFCInstance(status);
      break;
    case NormalForm::kNfd:
      normalizer = icu::Normalizer2::getNFDInstance(status);
      break;
    case NormalForm::kNfkc:
      normalizer = icu::Normalizer2::getNFKCInstance(status);
      break;
    case NormalForm::kNfkd:
      normalizer = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  if (U_FAILURE(status) != 0 || normalizer == nullptr) throw failed("ICU", u_errorName(status), "install libicu again");
  return *normalizer;
}

// NFC changes nothing below U+0300, whose first byte is 0xCC.
bool is_surely_normal(std::string_view text, NormalForm form) {
  if (form != NormalForm::kNfc) return utf8::is_ascii(text);
  for (const char byte : text) {
    if (static_cast<unsigned char>(byte) >= 0xCC) return false;
  }
  return true;
}

bool has_category(char32_t code, std::uint32_t mask) {
  return (U_MASK(u_charType(static_cast<UChar32>(code))) & mask) != 0;
}

// The characters that normal forms know.
const icu::UnicodeSet& normalized_characters() {
  static const icu::UnicodeSet& set = []() -> const icu::UnicodeSet& {
    UErrorCode status = U_ZERO_ERROR;
    auto* made = new icu::UnicodeSet(icu::UnicodeString(u"[:age=9.0:]"), status);  // lives as long as the program
    if (U_FAILURE(status) != 0) throw failed("ICU", u_errorName(status), "install libicu again");
    made->freeze();
    return *made;
  }();
  return set;
}

bool is_assigned_in(char32_t code, unsigned version) {
  UVersionInfo age = {};
  u_charAge(static_cast<UChar32>(code), age);
  return age[0] != 0 && age[0] <= version;
}

// With later characters left alone.
void normalize_filtered(const icu::Normalizer2& normalizer, const icu::StringPiece& piece, icu::ByteSink& sink,
                        UErrorCode& status) {
  const icu::FilteredNormalizer2 filtered(normalizer, normalized_characters());
  icu::UnicodeString result;
  filtered.normalize(icu::UnicodeString::fromUTF8(piece), result, status);
  result.toUTF8(sink);
}

}  // namespace

std::string normalize(std::string_view text, NormalForm form) {
  if (is_surely_normal(text, form)) return std::string(text);
  const icu::Normalizer2& normalizer = normalizer_of(form);
  UErrorCode status = U_ZERO_ERROR;
  if (text.size() > INT32_MAX / 4) throw bad_input("text", "longer than 512 MiB", "cut it into parts");
  const auto size = static_cast<std::int32_t>(text.size());
  const icu::StringPiece piece(text.data(), size);
  std::string result;
  icu::StringByteSink<std::string> sink(&result, size);
  if (normalized_characters().spanUTF8(text.data(), size, USET_SPAN_CONTAINED) == size)
    normalizer.normalizeUTF8(0, piece, sink, nullptr, status);
  else
    normalize_filtered(normalizer, piece, sink, status);
  if (U_FAILURE(status) != 0) throw failed("ICU", u_errorName(status));
  return result;
}

bool is_whitespace(char32_t code) { return u_isUWhiteSpace(static_cast<UChar32>(code)) != 0; }
bool is_numeric(char32_t code) { return has_category(code, U_GC_N_MASK) || recent_category(code).starts_with('N'); }

bool is_punctuation(char32_t code) {
  if (code < 0x80)
    return (code > 0x20 && code < 0x30) || (code > 0x39 && code < 0x41) || (code > 0x5A && code < 0x61) ||
           (code > 0x7A && code < 0x7F);
  const bool once = code == 0x166D || code == 0x111C9;  // were punctuation then
  return once || (has_category(code, U_GC_P_MASK) && is_assigned_in(code, 8));
}

bool is_word(char32_t code) {
  const std::string_view recent = recent_category(code);
  if (recent == "Nd" || recent.starts_with('L') || recent.starts_with('M')) return true;
  return has_category(code, U_GC_L_MASK | U_GC_M_MASK | U_GC_ND_MASK | U_GC_NL_MASK | U_GC_PC_MASK) ||
         u_hasBinaryProperty(static_cast<UChar32>(code), UCHAR_ALPHABETIC) != 0 ||
         u_hasBinaryProperty(static_cast<UChar32>(code), UCHAR_JOIN_CONTROL) != 0;
}

bool is_combining_mark(char32_t code) { return has_category(code, U_GC_M_MASK) && is_assigned_in(code, 9); }

std::string lowercase(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  utf8::for_each_character(text, [&](char32_t code, std::size_t, std::size_t) {
    utf8::append(result, code < 0x80 && code >= 'A' && code <= 'Z'
                             ? code + 32
                             : static_cast<char32_t>(u_tolower(static_cast<UChar32>(code))));
    if (code == 0x130) utf8::append(result, 0x307);  // the one letter whose small form has two characters
  });
  return result;
}

}  // namespace kinglet
