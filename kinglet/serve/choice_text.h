// The text of one choice as it comes, with the tokens that it is made of.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/models/decoder/token_engine.h"
#include "kinglet/text/continued_text.h"
#include "kinglet/text/stop_strings.h"
#include "kinglet/text/token_bytes.h"

namespace kinglet {

struct TokenView {
  std::optional<std::string> bytes;  // nothing for a special token
  double log_probability = 0.0;
};

struct ShownToken {
  TokenView token;
  std::vector<TokenView> alternatives;
  std::int64_t text_offset = 0;  // characters of the choice's text before it
};

// What may be shown now: whole characters in which no stop text can begin any more, and the tokens that begin in them.
struct TextPiece {
  std::string text;
  std::vector<ShownToken> tokens;
  bool empty() const { return text.empty() && tokens.empty(); }
};

class ChoiceText {
 public:
  struct Setting {
    std::vector<std::string> stop;
    std::vector<TokenId> eos;  // give no text
    bool with_tokens = false;
  };
  // The tokenizer must outlive it.
  ChoiceText(const Tokenizer& tokenizer, const std::vector<TokenId>& prompt, Setting setting);

  TextPiece push(const EngineToken& token);
  TextPiece finish();  // the end: what was held back
  bool stopped() const { return stop_.found(); }

 private:
  void hold(const EngineToken& token);
  TextPiece piece_of(std::string text, bool all_tokens);
  TokenView view(TokenId token, double log_probability) const;

  struct HeldToken {
    ShownToken token;
    std::size_t begin = 0;  // bytes of the choice's text before it
  };

  const Tokenizer& tokenizer_;
  Setting setting_;
  TokenBytes bytes_;
  ContinuedText continued_;
  StopStrings stop_;
  std::vector<HeldToken> held_;
  std::size_t token_bytes_ = 0, shown_bytes_ = 0;
  std::int64_t characters_ = 0;
};

}  // namespace kinglet
