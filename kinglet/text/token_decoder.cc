#include "kinglet/text/token_decoder.h"

#include <charconv>
#include <optional>
#include <utility>

#include "kinglet/text/byte_level.h"
#include "kinglet/text/pattern.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

// A step that needs the whole text of a token.
class WholeTokenStep : public DecodeStep {
 public:
  void push(std::string_view part, bool ends) final {
    if (ends && buffer_.empty()) return token(part);
    buffer_ += part;
    if (!ends) return;
    const std::string text = std::exchange(buffer_, {});
    token(text);
  }

 private:
  virtual void token(std::string_view text) = 0;
  std::string buffer_;
};

class JoinStep : public DecodeStep {
 public:
  void push(std::string_view part, bool ends) override {
    if (!first_) emit(" ", false);
    first_ = false;
    emit(part, ends);
  }

 private:
  bool first_ = true;
};

// The bytes of all tokens as one text; what is no UTF-8 becomes U+FFFD.
class ByteLevelDecoding : public WholeTokenStep {
 public:
  void finish() override {
    while (!bytes_.empty()) take_character();
    emit("", true);
  }

 private:
  void token(std::string_view text) override {
    const auto bytes = from_byte_level(text);
    bytes_ += bytes ? std::string_view(*bytes) : text;
    std::string ready;
    std::string_view rest = bytes_;
    while (!rest.empty()) {
      const utf8::Character character = utf8::first_character(rest);
      if (character.incomplete) break;
      ready += character.valid ? rest.substr(0, character.length) : utf8::kReplacementText;
      rest.remove_prefix(character.length);
    }
    bytes_ = std::string(rest);
    if (!ready.empty()) emit(ready, false);
  }
  void take_character() {
    const utf8::Character character = utf8::first_character(bytes_);
    emit(character.valid ? std::string_view(bytes_).substr(0, character.length) : utf8::kReplacementText, false);
    bytes_.erase(0, character.length);
  }

  std::string bytes_;  // the start of a character that is not complete
};

class ReplaceStep : public WholeTokenStep {
 public:
  ReplaceStep(std::shared_ptr<const Pattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

 private:
  void token(std::string_view text) override {
    pattern_->find_all(text, matches_);
    if (matches_.empty()) return emit(text, true);
    std::string result;
    std::size_t at = 0;
    for (const TextRange& match : matches_) {
      result += text.substr(at, match.begin - at);
      result += content_;
      at = match.end;
    }
    result += text.substr(at);
    emit(result, true);
  }

  std::shared_ptr<const Pattern> pattern_;
  std::string content_;
  std::vector<TextRange> matches_;
};

// <0x00> ... <0xFF>: a run of them is one text when it is valid UTF-8, else one U+FFFD a byte. So nothing of a run is
// certain before it ends.
class ByteFallbackStep : public WholeTokenStep {
 public:
  void finish() override { end_run(); }

 private:
  static std::optional<char> byte_of(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return std::nullopt;
    unsigned value = 0;
    const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
    if (error != std::errc() || end != token.data() + 5) return std::nullopt;
    return static_cast<char>(static_cast<unsigned char>(value));
  }
  void token(std::string_view text) override {
    if (const auto byte = byte_of(text)) {
      run_.push_back(*byte);
      return;
    }
    end_run();
    emit(text, true);
  }
  void end_run() {
    if (run_.empty()) return;
    const std::string run = std::exchange(run_, {});
    if (utf8::is_valid(run)) return emit(run, true);
    for (std::size_t i = 0; i < run.size(); ++i) emit(utf8::kReplacementText, true);
  }

  std::string run_;
};

class FuseStep : public DecodeStep {
 public:
  void push(std::string_view part, bool) override { emit(part, false); }
  void finish() override { emit("", true); }
};

// With nothing to take from the end, the parts of a token go through as they come.
class StripStartStep : public DecodeStep {
 public:
  StripStartStep(std::string content, std::size_t most) : content_(std::move(content)), most_(most), left_(most) {}
  void push(std::string_view part, bool ends) override {
    while (left_ > 0 && part.starts_with(content_)) {
      part.remove_prefix(content_.size());
      --left_;
    }
    if (!part.empty()) left_ = 0;
    emit(part, ends);
    if (ends) left_ = most_;
  }

 private:
  std::string content_;
  std::size_t most_;
  std::size_t left_;
};

class StripStep : public WholeTokenStep {
 public:
  StripStep(std::string content, std::size_t start, std::size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}

 private:
  void token(std::string_view text) override {
    for (std::size_t i = 0; i < start_ && text.starts_with(content_); ++i) text.remove_prefix(content_.size());
    for (std::size_t i = 0; i < stop_ && text.ends_with(content_); ++i) text.remove_suffix(content_.size());
    emit(text, true);
  }

  std::string content_;
  std::size_t start_;
  std::size_t stop_;
};

// Replacement characters become blanks; those of the first token vanish when encoding puts one there.
class MetaspaceDecoding : public DecodeStep {
 public:
  MetaspaceDecoding(std::string space, bool drop_first) : space_(std::move(space)), drop_(drop_first) {}
  void push(std::string_view part, bool ends) override {
    std::string result;
    while (!part.empty()) {
      const std::size_t at = std::min(part.find(space_), part.size());
      result += part.substr(0, at);
      part.remove_prefix(at);
      if (part.empty()) break;
      part.remove_prefix(space_.size());
      if (!drop_) result += ' ';
    }
    emit(result, ends);
    if (ends) drop_ = false;
  }

 private:
  std::string space_;
  bool drop_;
};

std::string as_text(char32_t code) {
  std::string text;
  utf8::append(text, code);
  return text;
}

MakeDecodeStep parse_metaspace(const JsonFields& json) {
  const bool drop_first = json.text("prepend_scheme", "always") != "never" && json.boolean("add_prefix_space", true);
  return [space = as_text(json.character("replacement", 0x2581)), drop_first] {
    return std::make_unique<MetaspaceDecoding>(space, drop_first);
  };
}

MakeDecodeStep parse_replace(const JsonFields& json) {
  return [pattern = std::make_shared<const Pattern>(json.object("pattern")), content = json.text("content")] {
    return std::make_unique<ReplaceStep>(pattern, content);
  };
}

void parse_decoder_into(const JsonFields& json, std::vector<MakeDecodeStep>& steps) {
  constexpr std::int64_t kMostStripped = 1 << 20;
  const std::string type = json.text("type");
  if (type == "Sequence") {
    for (const JsonFields& step : json.objects("decoders")) parse_decoder_into(step, steps);
  } else if (type == "ByteLevel") {
    steps.push_back(byte_level_decoding());
  } else if (type == "Metaspace") {
    steps.push_back(parse_metaspace(json));
  } else if (type == "Replace") {
    steps.push_back(parse_replace(json));
  } else if (type == "ByteFallback") {
    steps.push_back(byte_fallback_decoding());
  } else if (type == "Fuse") {
    steps.push_back(fuse_decoding());
  } else if (type == "Strip") {
    steps.push_back(strip_decoding(json.character("content", U' '),
                                   static_cast<std::size_t>(json.integer("start", 0, kMostStripped, 0)),
                                   static_cast<std::size_t>(json.integer("stop", 0, kMostStripped, 0))));
  } else {
    throw json.wrong(fmt::format("the decoder '{}' is not supported", type));
  }
}

}  // namespace

TokenDecoder::TokenDecoder() : steps_{[] { return std::make_unique<JoinStep>(); }} {}

TokenDecoder TokenDecoder::parse(const JsonFields& json) {
  std::vector<MakeDecodeStep> steps;
  parse_decoder_into(json, steps);
  return TokenDecoder(std::move(steps));
}

TokenDecoder::Stream::Stream(const std::vector<MakeDecodeStep>& steps) : output_(std::make_unique<Output>()) {
  for (const MakeDecodeStep& make : steps) {
    steps_.push_back(make());
    steps_.back()->set_next(output_.get());
    if (steps_.size() > 1) steps_[steps_.size() - 2]->set_next(steps_.back().get());
  }
}

void TokenDecoder::Stream::push(std::string_view token, std::string& out) {
  first().push(token, true);
  hand_over(out);
}

void TokenDecoder::Stream::finish(std::string& out) {
  for (const auto& step : steps_) step->finish();
  hand_over(out);
}

void TokenDecoder::Stream::hand_over(std::string& out) {
  out += output_->text;
  output_->text.clear();
}

MakeDecodeStep byte_level_decoding() {
  return [] { return std::make_unique<ByteLevelDecoding>(); };
}

MakeDecodeStep replace_decoding(std::string text, std::string content) {
  return [pattern = std::make_shared<const Pattern>(Pattern::literal(std::move(text))), content = std::move(content)] {
    return std::make_unique<ReplaceStep>(pattern, content);
  };
}

MakeDecodeStep byte_fallback_decoding() {
  return [] { return std::make_unique<ByteFallbackStep>(); };
}

MakeDecodeStep fuse_decoding() {
  return [] { return std::make_unique<FuseStep>(); };
}

MakeDecodeStep strip_decoding(char32_t content, std::size_t start, std::size_t stop) {
  return [text = as_text(content), start, stop]() -> std::unique_ptr<DecodeStep> {
    if (stop == 0) return std::make_unique<StripStartStep>(text, start);
    return std::make_unique<StripStep>(text, start, stop);
  };
}

}  // namespace kinglet
