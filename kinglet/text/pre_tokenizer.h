// The "pre_tokenizer" of a tokenizer.json: what divides a normalized text into the pieces that a model encodes.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/text/json_fields.h"

namespace kinglet {

struct TextSlice {
  std::string_view text;
  bool at_start = false;  // see NormalizedText
};

// Keeps the texts that pieces view and that steps make anew.
class TextArena {
 public:
  std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }

 private:
  std::deque<std::string> texts_;
};

// Thread-safe after construction.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Replaces `pieces`; none of the new ones is empty.
  virtual void apply(std::vector<TextSlice>& pieces, TextArena& arena) const = 0;
  // True for ByteLevel: the pieces are written in byte_level.h's characters ...
  virtual bool maps_bytes() const { return false; }
  // ... unless the model does that by itself.
  virtual void leave_bytes() {}
};

// ByteLevel, Split, Metaspace, Digits, Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit and Sequence, laid
// out as one list of steps. Raises Error (bad input) that names another type.
std::vector<std::unique_ptr<PreTokenizer>> parse_pre_tokenizer(const JsonFields& json);

// A Split by the regular expression `pattern` that isolates its matches, and a ByteLevel without expression.
std::unique_ptr<PreTokenizer> make_regex_split(const std::string& pattern, std::string_view where);
std::unique_ptr<PreTokenizer> make_byte_level(bool add_prefix_space, bool use_regex);

}  // namespace kinglet
