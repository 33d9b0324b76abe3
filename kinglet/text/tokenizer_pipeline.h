// A tokenizer made of parts: added tokens, normalizer, pre-tokenizer, model, templates and decoder, in the order in
// which a tokenizer.json has them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/text/added_tokens.h"
#include "kinglet/text/normalizer.h"
#include "kinglet/text/pre_tokenizer.h"
#include "kinglet/text/token_decoder.h"
#include "kinglet/text/token_model.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {

// The special tokens around a text. A text with special tokens is the text of the next template.
struct TokenTemplate {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
};

struct NamedTokens {
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::optional<TokenId> padding;
};

struct TokenizerParts {
  std::vector<AddedToken> added;
  std::unique_ptr<Normalizer> normalizer;                    // may be null
  std::vector<std::unique_ptr<PreTokenizer>> pre_tokenizer;  // may be empty
  std::unique_ptr<TokenModel> model;
  std::vector<TokenTemplate> templates;
  TokenDecoder decoder;
  NamedTokens named;
};

class TokenizerPipeline : public Tokenizer {
 public:
  explicit TokenizerPipeline(TokenizerParts parts);

  std::vector<TokenId> encode(std::string_view text, bool add_special) const override;
  std::unique_ptr<DecodingStream> decoding_stream(bool skip_special) const override;
  std::int64_t vocabulary_size() const override { return static_cast<std::int64_t>(tokens_.size()); }
  std::optional<TokenId> find_id(std::string_view token) const override;
  std::string token(TokenId id) const override;
  bool is_special(TokenId id) const override;
  std::optional<TokenId> bos() const override { return parts_.named.bos; }
  std::optional<TokenId> eos() const override { return parts_.named.eos; }
  std::optional<TokenId> padding() const override { return parts_.named.padding; }

 private:
  class Stream;
  struct Token {
    std::string_view text;
    bool present = false;
    bool special = false;
  };
  const Token& entry(TokenId id) const;
  void list_tokens();
  AddedTokenMatcher make_matcher(bool normalized) const;
  void encode_section(std::string_view text, bool at_start, std::vector<TokenId>& ids) const;
  void encode_normalized(std::string_view text, bool at_start, std::vector<TokenId>& ids) const;

  TokenizerParts parts_;
  std::vector<Token> tokens_;  // by id
  std::unordered_map<std::string_view, TokenId> added_ids_;
  AddedTokenMatcher plain_;
  AddedTokenMatcher normalized_;
};

}  // namespace kinglet
