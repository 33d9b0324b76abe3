#include "kinglet/text/pre_tokenizer.h"

#include <functional>
#include <optional>
#include <utility>

#include "kinglet/text/byte_level.h"
#include "kinglet/text/pattern.h"
#include "kinglet/text/unicode.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

constexpr const char* kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

using FindMatches = std::function<void(std::string_view, std::vector<TextRange>&)>;

void split_pieces(std::vector<TextSlice>& pieces, const FindMatches& find, bool invert, SplitBehavior behavior) {
  std::vector<TextSlice> result;
  std::vector<TextRange> matches;
  std::vector<TextRange> parts;
  for (const TextSlice& piece : pieces) {
    find(piece.text, matches);
    split_at_matches(piece.text.size(), matches, invert, behavior, parts);
    for (const TextRange& part : parts) {
      result.push_back({piece.text.substr(part.begin, part.end - part.begin), piece.at_start && part.begin == 0});
    }
  }
  pieces = std::move(result);
}

class ByteLevelStep : public PreTokenizer {
 public:
  ByteLevelStep(bool add_prefix_space, bool use_regex) : add_prefix_space_(add_prefix_space) {
    if (use_regex) pattern_.emplace(Regex(kByteLevelPattern, "ByteLevel"));
  }
  bool maps_bytes() const override { return maps_; }
  void leave_bytes() override { maps_ = false; }

  void apply(std::vector<TextSlice>& pieces, TextArena& arena) const override {
    if (add_prefix_space_) {
      for (TextSlice& piece : pieces) {
        if (!piece.text.starts_with(' ')) piece.text = arena.keep(" " + std::string(piece.text));
      }
    }
    if (pattern_) {
      split_pieces(
          pieces, [this](std::string_view text, std::vector<TextRange>& matches) { pattern_->find_all(text, matches); },
          false, SplitBehavior::kIsolated);
    }
    if (maps_) {
      for (TextSlice& piece : pieces) piece.text = arena.keep(to_byte_level(piece.text));
    }
  }

 private:
  bool add_prefix_space_;
  bool maps_ = true;
  std::optional<Pattern> pattern_;
};

class PatternSplit : public PreTokenizer {
 public:
  PatternSplit(Pattern pattern, bool invert, SplitBehavior behavior)
      : pattern_(std::move(pattern)), invert_(invert), behavior_(behavior) {}
  void apply(std::vector<TextSlice>& pieces, TextArena&) const override {
    split_pieces(
        pieces, [this](std::string_view text, std::vector<TextRange>& matches) { pattern_.find_all(text, matches); },
        invert_, behavior_);
  }

 private:
  Pattern pattern_;
  bool invert_;
  SplitBehavior behavior_;
};

// Every character for which `property` holds is a match.
class CharacterSplit : public PreTokenizer {
 public:
  using Property = std::function<bool(char32_t)>;
  CharacterSplit(Property property, SplitBehavior behavior) : property_(std::move(property)), behavior_(behavior) {}
  void apply(std::vector<TextSlice>& pieces, TextArena&) const override {
    split_pieces(
        pieces,
        [this](std::string_view text, std::vector<TextRange>& matches) {
          matches.clear();
          utf8::for_each_character(text, [&](char32_t code, std::size_t at, std::size_t length) {
            if (property_(code)) matches.push_back({at, at + length});
          });
        },
        false, behavior_);
  }

 private:
  Property property_;
  SplitBehavior behavior_;
};

// Words and runs of punctuation; what is between them is dropped.
class WhitespaceWords : public PreTokenizer {
 public:
  void apply(std::vector<TextSlice>& pieces, TextArena&) const override {
    split_pieces(
        pieces,
        [](std::string_view text, std::vector<TextRange>& matches) {
          matches.clear();
          int previous = 0;
          utf8::for_each_character(text, [&](char32_t code, std::size_t at, std::size_t length) {
            const int kind = is_word(code) ? 1 : is_whitespace(code) ? 0 : 2;
            if (kind != 0 && kind == previous)
              matches.back().end = at + length;
            else if (kind != 0)
              matches.push_back({at, at + length});
            previous = kind;
          });
        },
        true, SplitBehavior::kRemoved);
  }
};

enum class PrependScheme { kAlways, kFirst, kNever };

class MetaspaceStep : public PreTokenizer {
 public:
  explicit MetaspaceStep(const JsonFields& json) {
    utf8::append(space_, json.character("replacement", 0x2581));
    split_ = json.boolean("split", true);
    const std::string scheme = json.text("prepend_scheme", "always");
    if (scheme == "always") {
      scheme_ = PrependScheme::kAlways;
    } else if (scheme == "first") {
      scheme_ = PrependScheme::kFirst;
    } else if (scheme == "never") {
      scheme_ = PrependScheme::kNever;
    } else {
      throw json.wrong(fmt::format("the prepend_scheme '{}' is not known", scheme));
    }
    if (!json.boolean("add_prefix_space", true)) {  // files from before prepend_scheme
      if (scheme_ == PrependScheme::kFirst) throw json.wrong("add_prefix_space contradicts prepend_scheme");
      scheme_ = PrependScheme::kNever;
    }
  }

  void apply(std::vector<TextSlice>& pieces, TextArena& arena) const override {
    for (TextSlice& piece : pieces) piece.text = arena.keep(mark_spaces(piece));
    if (split_) {
      split_pieces(
          pieces, [this](std::string_view text, std::vector<TextRange>& matches) { find_spaces(text, matches); }, false,
          SplitBehavior::kMergedWithNext);
    }
  }

 private:
  std::string mark_spaces(const TextSlice& piece) const {
    std::string text;
    const bool prepend = scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && piece.at_start);
    if (prepend && !piece.text.starts_with(' ') && !piece.text.starts_with(space_)) text = space_;
    for (const char byte : piece.text) {
      if (byte == ' ')
        text += space_;
      else
        text += byte;
    }
    return text;
  }

  void find_spaces(std::string_view text, std::vector<TextRange>& matches) const {
    matches.clear();
    for (std::size_t at = text.find(space_); at != std::string_view::npos; at = text.find(space_, at + space_.size())) {
      matches.push_back({at, at + space_.size()});
    }
  }

  std::string space_;
  bool split_ = true;
  PrependScheme scheme_ = PrependScheme::kAlways;
};

void parse_into(const JsonFields& json, std::vector<std::unique_ptr<PreTokenizer>>& steps) {
  const std::string type = json.text("type");
  const auto by_character = [&](CharacterSplit::Property property, SplitBehavior behavior) {
    steps.push_back(std::make_unique<CharacterSplit>(std::move(property), behavior));
  };
  if (type == "Sequence") {
    for (const JsonFields& step : json.objects("pretokenizers")) parse_into(step, steps);
  } else if (type == "ByteLevel") {
    steps.push_back(make_byte_level(json.boolean("add_prefix_space", true), json.boolean("use_regex", true)));
  } else if (type == "Split") {
    steps.push_back(std::make_unique<PatternSplit>(Pattern(json.object("pattern")), json.boolean("invert", false),
                                                   parse_split_behavior(json, "behavior", SplitBehavior::kIsolated)));
  } else if (type == "Metaspace") {
    steps.push_back(std::make_unique<MetaspaceStep>(json));
  } else if (type == "Digits") {
    by_character(is_numeric,
                 json.boolean("individual_digits", false) ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
  } else if (type == "Punctuation") {
    by_character(is_punctuation, parse_split_behavior(json, "behavior", SplitBehavior::kIsolated));
  } else if (type == "WhitespaceSplit") {
    by_character(is_whitespace, SplitBehavior::kRemoved);
  } else if (type == "Whitespace") {
    steps.push_back(std::make_unique<WhitespaceWords>());
  } else if (type == "CharDelimiterSplit") {
    const char32_t delimiter = json.character("delimiter", U' ');
    by_character([delimiter](char32_t code) { return code == delimiter; }, SplitBehavior::kRemoved);
  } else {
    throw json.wrong(fmt::format("the pre-tokenizer '{}' is not supported", type));
  }
}

}  // namespace

std::vector<std::unique_ptr<PreTokenizer>> parse_pre_tokenizer(const JsonFields& json) {
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  parse_into(json, steps);
  return steps;
}

std::unique_ptr<PreTokenizer> make_regex_split(const std::string& pattern, std::string_view where) {
  return std::make_unique<PatternSplit>(Pattern(Regex(pattern, where)), false, SplitBehavior::kIsolated);
}

std::unique_ptr<PreTokenizer> make_byte_level(bool add_prefix_space, bool use_regex) {
  return std::make_unique<ByteLevelStep>(add_prefix_space, use_regex);
}

}  // namespace kinglet
