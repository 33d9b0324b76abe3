// Which tokens of a response belong together: six sources of spans for the span term.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/methods/mgsr/example.h"

namespace kinglet::mgsr {

enum class SpanSource {
  kRules,     // phrases of text/phrase_chunker.h
  kField,     // what the data says, for its own responses
  kSentence,  // whole sentences
  kWindow,    // every so many tokens, whatever they are
  kWords,     // the tokens of one word; for any language with blanks
  kRandom,    // as long as those of the rules, elsewhere: a control
};
const std::vector<std::string>& span_source_names();  // "rules", "field", "sentence", "window", "words", "random"
SpanSource parse_span_source(std::string_view name);

struct SpanSettings {
  SpanSource source = SpanSource::kRules;
  std::size_t window = 4;  // of kWindow
};

// The text of tokens, and the byte where the text of each begins, behind the blanks that it brings. Tokens of half a
// character begin where the character does; the places never fall. Special tokens have no text.
struct PlacedTokens {
  std::string text;
  std::vector<std::size_t> begins;
};
PlacedTokens place_tokens(const Tokenizer& tokenizer, std::span<const TokenId> tokens);

// Ranges of bytes, in order, as tokens: a token belongs to the range that its text begins in. Ranges of fewer than two
// tokens are left out.
struct TextRange {
  std::size_t begin = 0, end = 0;
};
std::vector<TokenSpan> spans_of_ranges(const PlacedTokens& tokens, const std::vector<TextRange>& ranges);

// Spans of a response by any source but kField. `seed` is for kRandom.
std::vector<TokenSpan> find_spans(const Tokenizer& tokenizer, std::span<const TokenId> response,
                                  const SpanSettings& settings, std::uint64_t seed);

}  // namespace kinglet::mgsr
