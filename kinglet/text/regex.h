// Regular expressions as tokenizer files have them: Oniguruma's Ruby syntax over Unicode, run by PCRE2's compiler to
// machine code.
//
// Where the two differ the pattern is rewritten: \s, \w, \d, \h and \b mean what they mean there (\s without U+180E, \w
// with marks), x{1,3}+ is a repetition and no possessive quantifier, ^ and $ match at every line, (?m:) lets the dot
// match line ends, classes may hold classes, scripts exclude script extensions, and characters up to Unicode 16 have
// their categories.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

struct TextRange {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool operator==(const TextRange&) const = default;
};

class Regex {
 public:
  // Raises Error (bad input) that names `where` for a pattern that does not compile or uses what has no counterpart
  // (intersections of classes, \X outside, free spacing, look-behind without a bound).
  Regex(std::string_view pattern, std::string_view where);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // Fills `matches` with the successive matches in `text` (valid UTF-8), which do not overlap; an empty match directly
  // after another is passed over. Raises Error (bad input) when the pattern backtracks without end. Thread-safe.
  void find_all(std::string_view text, std::vector<TextRange>& matches) const;

 private:
  struct Program;
  const Program& program_for(std::string_view text) const;

  std::string where_;
  std::unique_ptr<Program> program_;
  std::unique_ptr<Program> recent_;  // with recent_characters.h spelled out, which makes it slower; null when equal
};

// The rewritten pattern; `recent`: with the characters of recent_characters.h. Public for tests.
std::string translate_regex(std::string_view pattern, bool recent, std::string_view where);

}  // namespace kinglet
