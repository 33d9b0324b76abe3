#include "kinglet/methods/mgsr/spans.h"

#include <algorithm>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/rng.h"
#include "kinglet/text/phrase_chunker.h"

namespace kinglet::mgsr {
namespace {

std::vector<TextRange> ranges_of(std::string_view text, SpanSource source) {
  std::vector<TextRange> ranges;
  if (source == SpanSource::kRules || source == SpanSource::kRandom) {
    for (const Phrase& phrase : phrases(text)) ranges.push_back({phrase.begin, phrase.end});
  } else {
    const auto places = source == SpanSource::kSentence ? sentences(text) : words_of(text);
    for (const WordPlace& place : places) ranges.push_back({place.begin, place.end});
  }
  return ranges;
}

std::vector<TokenSpan> windows(std::size_t tokens, std::size_t width) {
  std::vector<TokenSpan> spans;
  for (std::size_t begin = 0; begin + 1 < tokens; begin += width)
    spans.push_back({begin, std::min(begin + width, tokens)});
  std::erase_if(spans, [](const TokenSpan& span) { return span.end - span.begin < 2; });
  return spans;
}

// The same lengths in another order, with other gaps between them.
std::vector<TokenSpan> scattered(const std::vector<TokenSpan>& spans, std::size_t tokens, Rng& rng) {
  std::vector<std::size_t> lengths, gaps(spans.size() + 1, 0);
  std::size_t covered = 0;
  for (const TokenSpan& span : spans) covered += lengths.emplace_back(span.end - span.begin);
  for (std::size_t i = lengths.size(); i > 1; --i) std::swap(lengths[i - 1], lengths[rng.below(i)]);
  for (std::size_t i = covered; i < tokens; ++i) ++gaps[rng.below(gaps.size())];
  std::vector<TokenSpan> result;
  std::size_t at = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    at += gaps[i];
    result.push_back({at, at + lengths[i]});
    at += lengths[i];
  }
  return result;
}

}  // namespace

const std::vector<std::string>& span_source_names() {
  static const std::vector<std::string> names = {"rules", "field", "sentence", "window", "words", "random"};
  return names;
}

SpanSource parse_span_source(std::string_view name) {
  const auto& names = span_source_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw bad_input("", fmt::format("no source of spans is called '{}'", name),
                    fmt::format("choose one of: {}", fmt::join(names, ", ")));
  }
  return static_cast<SpanSource>(found - names.begin());
}

PlacedTokens place_tokens(const Tokenizer& tokenizer, std::span<const TokenId> tokens) {
  PlacedTokens placed;
  StreamDecoder decoder(tokenizer);
  for (const TokenId token : tokens) {
    placed.begins.push_back(placed.text.size());
    placed.text += decoder.push(token);
  }
  placed.text += decoder.finish();
  for (std::size_t& begin : placed.begins) {
    while (begin < placed.text.size() && (placed.text[begin] == ' ' || placed.text[begin] == '\n')) ++begin;
  }
  return placed;
}

std::vector<TokenSpan> spans_of_ranges(const PlacedTokens& tokens, const std::vector<TextRange>& ranges) {
  std::vector<TokenSpan> spans;
  std::size_t token = 0;
  for (const TextRange& range : ranges) {
    while (token < tokens.begins.size() && tokens.begins[token] < range.begin) ++token;
    const std::size_t begin = token;
    while (token < tokens.begins.size() && tokens.begins[token] < range.end) ++token;
    if (token >= begin + 2) spans.push_back({begin, token});
  }
  return spans;
}

std::vector<TokenSpan> find_spans(const Tokenizer& tokenizer, std::span<const TokenId> response,
                                  const SpanSettings& settings, std::uint64_t seed) {
  if (settings.source == SpanSource::kWindow) return windows(response.size(), settings.window);
  const PlacedTokens placed = place_tokens(tokenizer, response);
  std::vector<TokenSpan> spans = spans_of_ranges(placed, ranges_of(placed.text, settings.source));
  if (settings.source != SpanSource::kRandom) return spans;
  Rng rng(seed);
  return scattered(spans, response.size(), rng);
}

}  // namespace kinglet::mgsr
