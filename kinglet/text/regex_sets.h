// The sets of characters that Oniguruma's escapes and properties name, spelled for PCRE2.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kinglet {

// `content` stands between the brackets of a class; when `negated`, the set is all other characters.
struct CharacterSet {
  std::string content;
  bool negated = false;
};

class RegexSets {
 public:
  // `recent`: with the characters of recent_characters.h spelled out.
  explicit RegexSets(bool recent) : recent_(recent) {}

  std::string word() const;  // \w
  // The set of \s, \w, \d, \h and their capitals; nothing for another letter.
  std::optional<CharacterSet> of_letter(char letter) const;
  // What \p{name} and [:name:] stand for; nothing when `name` cannot be a name. One that PCRE2 does not know either
  // shows when the pattern is compiled.
  std::optional<std::string> named(std::string_view name) const;

 private:
  std::string property(std::string_view name) const;

  bool recent_;
};

}  // namespace kinglet
