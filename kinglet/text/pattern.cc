#include "kinglet/text/pattern.h"

#include <algorithm>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

struct Part {
  TextRange range;
  bool is_match = false;
};

// Matches and what lies between them, in order. Empty matches stay: they end a run of other parts.
std::vector<Part> all_parts(std::size_t size, const std::vector<TextRange>& matches, bool invert) {
  std::vector<Part> parts;
  parts.reserve(matches.size() * 2 + 1);
  std::size_t at = 0;
  for (const TextRange& match : matches) {
    if (match.begin != at) parts.push_back({{at, match.begin}, invert});
    parts.push_back({match, !invert});
    at = match.end;
  }
  if (at != size) parts.push_back({{at, size}, invert});
  return parts;
}

void merge_with_previous(const std::vector<Part>& parts, std::vector<TextRange>& result) {
  bool previous = false;
  for (const Part& part : parts) {
    if (part.is_match && !previous && !result.empty())
      result.back().end = part.range.end;
    else
      result.push_back(part.range);
    previous = part.is_match;
  }
}

void merge_with_next(const std::vector<Part>& parts, std::vector<TextRange>& result) {
  bool previous = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->is_match && !previous && !result.empty())
      result.back().begin = part->range.begin;
    else
      result.push_back(part->range);
    previous = part->is_match;
  }
  std::reverse(result.begin(), result.end());
}

void merge_alike(const std::vector<Part>& parts, std::vector<TextRange>& result) {
  bool previous = false;
  for (const Part& part : parts) {
    if (part.is_match == previous && !result.empty())
      result.back().end = part.range.end;
    else
      result.push_back(part.range);
    previous = part.is_match;
  }
}

// The common case without a list in between: every part stands for itself.
void isolate(std::size_t size, const std::vector<TextRange>& matches, std::vector<TextRange>& result) {
  std::size_t at = 0;
  for (const TextRange& match : matches) {
    if (match.begin != at) result.push_back({at, match.begin});
    if (match.begin != match.end) result.push_back(match);
    at = match.end;
  }
  if (at != size) result.push_back({at, size});
}

}  // namespace

Pattern::Pattern(const JsonFields& json) {
  if (json.has("Regex")) {
    regex_.emplace(json.text("Regex"), json.where());
  } else if (json.has("String")) {
    *this = literal(json.text("String"));
  } else {
    throw json.wrong("must be {\"String\": ...} or {\"Regex\": ...}");
  }
}

Pattern Pattern::literal(std::string text) {
  Pattern pattern;
  if (text.empty())
    pattern.regex_.emplace("", "pattern");  // matches before every character, as there
  else
    pattern.literal_ = std::move(text);
  return pattern;
}

void Pattern::find_all(std::string_view text, std::vector<TextRange>& matches) const {
  if (regex_) return regex_->find_all(text, matches);
  matches.clear();
  for (std::size_t at = text.find(literal_); at != std::string_view::npos;) {
    matches.push_back({at, at + literal_.size()});
    at = text.find(literal_, at + literal_.size());
  }
}

SplitBehavior parse_split_behavior(const JsonFields& json, const char* field, SplitBehavior when_missing) {
  const std::string name = json.text(field, "");
  if (!json.has(field)) return when_missing;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  throw json.wrong(fmt::format("has the unknown {} '{}'", field, name));
}

void split_at_matches(std::size_t size, const std::vector<TextRange>& matches, bool invert, SplitBehavior behavior,
                      std::vector<TextRange>& parts) {
  parts.clear();
  if (behavior == SplitBehavior::kIsolated) return isolate(size, matches, parts);
  const std::vector<Part> all = all_parts(size, matches, invert);
  switch (behavior) {
    case SplitBehavior::kIsolated:
      break;
    case SplitBehavior::kRemoved:
      for (const Part& part : all) {
        if (!part.is_match) parts.push_back(part.range);
      }
      break;
    case SplitBehavior::kMergedWithPrevious:
      merge_with_previous(all, parts);
      break;
    case SplitBehavior::kMergedWithNext:
      merge_with_next(all, parts);
      break;
    case SplitBehavior::kContiguous:
      merge_alike(all, parts);
      break;
  }
  std::erase_if(parts, [](const TextRange& part) { return part.begin == part.end; });
}

}  // namespace kinglet
