#include "kinglet/text/tokenizer_pipeline.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/utf8.h"

namespace kinglet {

class TokenizerPipeline::Stream : public DecodingStream {
 public:
  Stream(const TokenizerPipeline& tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_special_(skip_special), stream_(tokenizer.parts_.decoder.stream()) {}

  void push(TokenId id, std::string& out) override {
    const Token& token = tokenizer_.entry(id);
    if (token.present && !(skip_special_ && token.special)) stream_.push(token.text, out);
  }
  void finish(std::string& out) override { stream_.finish(out); }

 private:
  const TokenizerPipeline& tokenizer_;
  bool skip_special_;
  TokenDecoder::Stream stream_;
};

TokenizerPipeline::TokenizerPipeline(TokenizerParts parts)
    : parts_(std::move(parts)), plain_(make_matcher(false)), normalized_(make_matcher(true)) {
  list_tokens();
}

void TokenizerPipeline::list_tokens() {
  const Vocabulary& vocabulary = parts_.model->vocabulary();
  TokenId size = vocabulary.size();
  for (const AddedToken& token : parts_.added) {
    if (token.id < 0 || token.id >= Vocabulary::kMostIds)
      throw bad_input("tokenizer", "an added token's id is too large");
    size = std::max(size, token.id + 1);
  }
  tokens_.resize(static_cast<std::size_t>(size));
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    tokens_[static_cast<std::size_t>(id)] = {vocabulary.text(id), vocabulary.has(id), false};
  }
  std::unordered_set<std::string_view> special;
  for (const AddedToken& token : parts_.added) {
    if (token.special) special.insert(token.content);
  }
  for (const AddedToken& token : parts_.added) {
    tokens_[static_cast<std::size_t>(token.id)] = {token.content, true, false};
    added_ids_.insert_or_assign(token.content, token.id);
  }
  for (Token& token : tokens_) token.special = token.present && special.contains(token.text);
}

// Special tokens come first, which matters where two have the same (normalized) text.
AddedTokenMatcher TokenizerPipeline::make_matcher(bool normalized) const {
  std::vector<AddedToken> chosen;
  for (const bool special : {true, false}) {
    for (const AddedToken& token : parts_.added) {
      if (token.special != special || token.normalized != normalized) continue;
      chosen.push_back(token);
      if (!normalized || !parts_.normalizer) continue;
      NormalizedText text{token.content, false};
      parts_.normalizer->apply(text);
      chosen.back().content = std::move(text.text);
    }
  }
  return AddedTokenMatcher(std::move(chosen));
}

std::vector<TokenId> TokenizerPipeline::encode(std::string_view text, bool add_special) const {
  std::string repaired;
  if (!utf8::is_valid(text)) {
    repaired = utf8::replace_invalid(text);
    text = repaired;
  }
  std::vector<TokenId> ids;
  std::vector<TextSection> sections;
  plain_.split(text, sections);
  for (const TextSection& section : sections) {
    if (section.id)
      ids.push_back(*section.id);
    else
      encode_section(section.text, section.text.data() == text.data(), ids);
  }
  if (!add_special) return ids;
  for (const TokenTemplate& around : parts_.templates) {
    ids.insert(ids.begin(), around.before.begin(), around.before.end());
    ids.insert(ids.end(), around.after.begin(), around.after.end());
  }
  return ids;
}

void TokenizerPipeline::encode_section(std::string_view text, bool at_start, std::vector<TokenId>& ids) const {
  NormalizedText normalized{{}, at_start};
  if (parts_.normalizer) {
    normalized.text = text;
    parts_.normalizer->apply(normalized);
    text = normalized.text;
  }
  std::vector<TextSection> sections;
  normalized_.split(text, sections);
  for (const TextSection& section : sections) {
    if (section.id)
      ids.push_back(*section.id);
    else
      encode_normalized(section.text, normalized.at_start && section.text.data() == text.data(), ids);
  }
}

void TokenizerPipeline::encode_normalized(std::string_view text, bool at_start, std::vector<TokenId>& ids) const {
  TextArena arena;
  std::vector<TextSlice> pieces{{text, at_start}};
  for (const auto& step : parts_.pre_tokenizer) step->apply(pieces, arena);
  for (const TextSlice& piece : pieces) parts_.model->encode(piece.text, ids);
}

std::unique_ptr<DecodingStream> TokenizerPipeline::decoding_stream(bool skip_special) const {
  return std::make_unique<Stream>(*this, skip_special);
}

const TokenizerPipeline::Token& TokenizerPipeline::entry(TokenId id) const {
  if (id < 0 || id >= vocabulary_size()) {
    throw bad_input("tokenizer", fmt::format("the id {} is outside the vocabulary of {}", id, vocabulary_size()));
  }
  return tokens_[static_cast<std::size_t>(id)];
}

std::optional<TokenId> TokenizerPipeline::find_id(std::string_view token) const {
  const auto added = added_ids_.find(token);
  return added != added_ids_.end() ? added->second : parts_.model->vocabulary().find(token);
}

std::string TokenizerPipeline::token(TokenId id) const { return std::string(entry(id).text); }
bool TokenizerPipeline::is_special(TokenId id) const { return entry(id).special; }

}  // namespace kinglet
