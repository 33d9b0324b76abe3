#include "kinglet/text/normalizer.h"

#include <utility>
#include <vector>

#include "kinglet/text/byte_level.h"
#include "kinglet/text/pattern.h"
#include "kinglet/text/unicode.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

constexpr std::size_t kMostGrowth = 64;          // a replacement may make a text longer, within reason
constexpr std::size_t kAlwaysAllowed = 1 << 24;  // bytes

class FormNormalizer : public Normalizer {
 public:
  explicit FormNormalizer(NormalForm form) : form_(form) {}
  void apply(NormalizedText& text) const override { text.text = normalize(text.text, form_); }

 private:
  NormalForm form_;
};

class LowercaseNormalizer : public Normalizer {
 public:
  void apply(NormalizedText& text) const override { text.text = lowercase(text.text); }
};

class StripNormalizer : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
  void apply(NormalizedText& text) const override {
    std::size_t begin = text.text.size();
    std::size_t end = 0;
    utf8::for_each_character(text.text, [&](char32_t code, std::size_t at, std::size_t length) {
      if (is_whitespace(code)) return;
      begin = std::min(begin, at);
      end = at + length;
    });
    if (!right_) end = text.text.size();
    if (!left_) begin = 0;
    if (begin > 0) text.at_start = false;
    text.text = begin < end ? text.text.substr(begin, end - begin) : "";
  }

 private:
  bool left_;
  bool right_;
};

class StripAccentsNormalizer : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    std::string result;
    utf8::for_each_character(text.text, [&](char32_t code, std::size_t at, std::size_t length) {
      if (!is_combining_mark(code)) result += std::string_view(text.text).substr(at, length);
    });
    text.text = std::move(result);
  }
};

class PrependNormalizer : public Normalizer {
 public:
  explicit PrependNormalizer(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(NormalizedText& text) const override {
    if (!text.text.empty()) text.text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class ReplaceNormalizer : public Normalizer {
 public:
  ReplaceNormalizer(Pattern pattern, std::string content, std::string where)
      : pattern_(std::move(pattern)), content_(std::move(content)), where_(std::move(where)) {}

  void apply(NormalizedText& text) const override {
    std::vector<TextRange> matches;
    pattern_.find_all(text.text, matches);
    if (matches.empty()) return;
    const std::size_t added = matches.size() * content_.size();
    if (added > kAlwaysAllowed && added / kMostGrowth > text.text.size()) {
      throw bad_input(where_, "the replacement makes the text far too long");
    }
    if (content_.empty() && matches.front().begin == 0 && matches.front().end > 0) text.at_start = false;
    std::string result;
    result.reserve(text.text.size() + added);
    std::size_t at = 0;
    for (const TextRange& match : matches) {
      result.append(text.text, at, match.begin - at);
      result += content_;
      at = match.end;
    }
    result.append(text.text, at);
    text.text = std::move(result);
  }

 private:
  Pattern pattern_;
  std::string content_;
  std::string where_;
};

class ByteLevelNormalizer : public Normalizer {
 public:
  void apply(NormalizedText& text) const override { text.text = to_byte_level(text.text); }
};

class SequenceNormalizer : public Normalizer {
 public:
  explicit SequenceNormalizer(const std::vector<JsonFields>& steps) {
    for (const JsonFields& step : steps) steps_.push_back(parse_normalizer(step));
  }
  void apply(NormalizedText& text) const override {
    for (const auto& step : steps_) step->apply(text);
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

}  // namespace

std::unique_ptr<Normalizer> parse_normalizer(const JsonFields& json) {
  const std::string type = json.text("type");
  if (type == "NFC") return std::make_unique<FormNormalizer>(NormalForm::kNfc);
  if (type == "NFD") return std::make_unique<FormNormalizer>(NormalForm::kNfd);
  if (type == "NFKC") return std::make_unique<FormNormalizer>(NormalForm::kNfkc);
  if (type == "NFKD") return std::make_unique<FormNormalizer>(NormalForm::kNfkd);
  if (type == "Lowercase") return std::make_unique<LowercaseNormalizer>();
  if (type == "Strip") {
    return std::make_unique<StripNormalizer>(json.boolean("strip_left", true), json.boolean("strip_right", true));
  }
  if (type == "StripAccents") return std::make_unique<StripAccentsNormalizer>();
  if (type == "Prepend") return std::make_unique<PrependNormalizer>(json.text("prepend"));
  if (type == "Replace") {
    return std::make_unique<ReplaceNormalizer>(Pattern(json.object("pattern")), json.text("content"), json.where());
  }
  if (type == "ByteLevel") return std::make_unique<ByteLevelNormalizer>();
  if (type == "Sequence") return std::make_unique<SequenceNormalizer>(json.objects("normalizers"));
  throw json.wrong(fmt::format("the normalizer '{}' is not supported", type));
}

}  // namespace kinglet
