#include "kinglet/serve/choice_text.h"

#include <algorithm>
#include <utility>

namespace kinglet {
namespace {

std::int64_t count_leads(std::string_view bytes) {
  return std::count_if(bytes.begin(), bytes.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

}  // namespace

ChoiceText::ChoiceText(const Tokenizer& tokenizer, const std::vector<TokenId>& prompt, Setting setting)
    : tokenizer_(tokenizer),
      setting_(std::move(setting)),
      bytes_(tokenizer),
      continued_(tokenizer, prompt),
      stop_(setting_.stop) {}

TokenView ChoiceText::view(TokenId token, double log_probability) const { return {bytes_.of(token), log_probability}; }

void ChoiceText::hold(const EngineToken& token) {
  HeldToken held;
  held.begin = token_bytes_;
  held.token.text_offset = characters_;
  held.token.token = view(token.token, token.log_probability);
  held.token.alternatives.reserve(token.alternatives.size());
  for (const TokenAlternative& one : token.alternatives) {
    held.token.alternatives.push_back(view(one.token, one.log_probability));
  }
  if (held.token.token.bytes) {
    token_bytes_ += held.token.token.bytes->size();
    characters_ += count_leads(*held.token.token.bytes);
  }
  held_.push_back(std::move(held));
}

TextPiece ChoiceText::push(const EngineToken& token) {
  const bool is_end = std::find(setting_.eos.begin(), setting_.eos.end(), token.token) != setting_.eos.end();
  if (is_end || stopped()) return {};
  if (setting_.with_tokens) hold(token);
  // Models may have more embeddings than the vocabulary has tokens.
  if (token.token >= tokenizer_.vocabulary_size()) return {};
  return piece_of(stop_.push(continued_.push(token.token)), false);
}

TextPiece ChoiceText::finish() {
  std::string text = stop_.push(continued_.finish());
  text += stop_.finish();
  return piece_of(std::move(text), !stopped());
}

TextPiece ChoiceText::piece_of(std::string text, bool all_tokens) {
  TextPiece piece;
  shown_bytes_ += text.size();
  piece.text = std::move(text);
  const auto end = all_tokens ? held_.end() : std::find_if(held_.begin(), held_.end(), [this](const HeldToken& held) {
    return held.begin >= shown_bytes_;
  });
  for (auto held = held_.begin(); held != end; ++held) piece.tokens.push_back(std::move(held->token));
  held_.erase(held_.begin(), end);
  return piece;
}

}  // namespace kinglet
