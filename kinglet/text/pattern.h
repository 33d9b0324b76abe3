// Where a pattern (a literal text or a regular expression) divides a text, and which parts a split keeps.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/text/json_fields.h"
#include "kinglet/text/regex.h"

namespace kinglet {

// {"String": text} or {"Regex": pattern} of a tokenizer.json.
class Pattern {
 public:
  explicit Pattern(const JsonFields& json);
  explicit Pattern(Regex regex) : regex_(std::move(regex)) {}
  static Pattern literal(std::string text);

  // As Regex::find_all.
  void find_all(std::string_view text, std::vector<TextRange>& matches) const;

 private:
  Pattern() = default;
  std::string literal_;
  std::optional<Regex> regex_;
};

// What a split does with the text of its matches.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// Raises Error (bad input) for another name than those of the format ("Isolated", "MergedWithPrevious", ...).
SplitBehavior parse_split_behavior(const JsonFields& json, const char* field, SplitBehavior when_missing);

// The parts of a text of `size` bytes, none of them empty. `invert`: what lies between the matches plays their role.
void split_at_matches(std::size_t size, const std::vector<TextRange>& matches, bool invert, SplitBehavior behavior,
                      std::vector<TextRange>& parts);

}  // namespace kinglet
