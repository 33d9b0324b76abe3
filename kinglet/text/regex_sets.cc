#include "kinglet/text/regex_sets.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include "kinglet/text/recent_characters.h"

namespace kinglet {
namespace {

bool is_key_character(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// Long names of general categories, which PCRE2 lacks.
constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kLongNames = {{{"letter", "L"},
                                                                                       {"uppercaseletter", "Lu"},
                                                                                       {"lowercaseletter", "Ll"},
                                                                                       {"titlecaseletter", "Lt"},
                                                                                       {"modifierletter", "Lm"},
                                                                                       {"otherletter", "Lo"},
                                                                                       {"mark", "M"},
                                                                                       {"nonspacingmark", "Mn"},
                                                                                       {"number", "N"},
                                                                                       {"decimalnumber", "Nd"},
                                                                                       {"digit", "Nd"},
                                                                                       {"punctuation", "P"},
                                                                                       {"symbol", "S"},
                                                                                       {"separator", "Z"},
                                                                                       {"other", "C"},
                                                                                       {"control", "Cc"}}};

std::string space() { return "\\x{9}-\\x{d} \\x{85}\\p{Z}"; }

}  // namespace

std::string RegexSets::property(std::string_view name) const {
  std::string content = fmt::format("\\p{{{}}}", name);
  if (name == "L" || name == "Alphabetic") content.insert(0, "A-Za-z");  // found in a bitmap, before any table
  if (name == "N" || name == "Nd") content.insert(0, "0-9");
  if (recent_) content += recent_characters_of(name);
  return content;
}
// The Latin-1 superscripts and fractions belong to it there.
std::string RegexSets::word() const {
  return "_" + property("Alphabetic") + property("M") + property("Nd") + property("Pc") +
         "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}";
}

std::optional<CharacterSet> RegexSets::of_letter(char letter) const {
  switch (letter) {
    case 's':
    case 'S':
      return CharacterSet{space(), letter == 'S'};
    case 'w':
    case 'W':
      return CharacterSet{word(), letter == 'W'};
    case 'd':
    case 'D':
      return CharacterSet{property("Nd"), letter == 'D'};
    case 'h':
    case 'H':
      return CharacterSet{"0-9A-Fa-f", letter == 'H'};
    default:
      return std::nullopt;
  }
}

std::optional<std::string> RegexSets::named(std::string_view name) const {
  std::string key;
  for (const char c : name) {
    if (c != ' ' && c != '_' && c != '-') key += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (key == "space" || key == "whitespace") return space();
  if (key == "word") return word();
  if (key == "alpha" || key == "alphabetic") return property("Alphabetic");
  if (key == "alnum") return property("Alphabetic") + property("Nd");
  if (key == "upper" || key == "uppercase") return property("Uppercase");
  if (key == "lower" || key == "lowercase") return property("Lowercase");
  if (key == "cntrl") return "\\p{Cc}";
  if (key == "xdigit") return "0-9A-Fa-f";
  if (key == "ascii") return "\\x{0}-\\x{7f}";
  if (key == "any") return "\\x{0}-\\x{10ffff}";
  if (key == "blank") return "\\x{9}\\p{Zs}";
  if (key == "punct") return property("P") + property("S");
  for (const auto& [long_name, category] : kLongNames) {
    if (key == long_name) return property(category);
  }
  if (key.empty() || !std::all_of(key.begin(), key.end(), is_key_character)) {
    return std::nullopt;
  }
  std::string title = key;
  title[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(title[0])));
  if (key.size() <= 2) return property(title);
  if (key == "han") return property("sc:Han") + (recent_ ? recent_characters_of("Han") : "");
  if (key.starts_with("emoji") || key == "extendedpictographic") return fmt::format("\\p{{{}}}", key);
  return fmt::format("\\p{{sc:{}}}", key);
}

}  // namespace kinglet
