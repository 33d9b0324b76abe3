#include "kinglet/text/phrase_chunker.h"

#include <algorithm>
#include <array>
#include <string>

#include "kinglet/base/ascii.h"
#include "kinglet/text/word_class.h"

namespace kinglet {
namespace {

constexpr std::size_t kLongest = 8;  // words of a phrase

bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte >= 0x80;
}
bool is_gap(char c) { return c == ' ' || c == '\t'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

std::string lower(std::string_view word) {
  std::string result;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word.substr(i, 3) == "\xE2\x80\x99") {  // the typographic apostrophe
      result += '\'';
      i += 2;
    } else {
      const char c = word[i];
      result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return result;
}

// A word with its class and whether text other than blanks stands before it.
struct Word {
  WordPlace place;
  WordClass kind = WordClass::kOpen;
  bool after_break = false;
  bool is_to = false;
};

std::vector<Word> classified(std::string_view text) {
  std::vector<Word> words;
  std::size_t end = 0;
  for (const WordPlace& place : words_of(text)) {
    const std::string_view between = text.substr(end, place.begin - end);
    const std::string word = lower(text.substr(place.begin, place.end - place.begin));
    words.push_back({place, ascii::is_digit(word[0]) ? WordClass::kDeterminer : word_class(word),
                     !std::all_of(between.begin(), between.end(), is_gap), word == "to"});
    end = place.end;
  }
  return words;
}

class Chunker {
 public:
  explicit Chunker(std::string_view text) : words_(classified(text)) {}

  std::vector<Phrase> run() {
    while (next_ < words_.size()) {
      const Word& word = words_[next_];
      if (word.kind == WordClass::kConjunction) {
        ++next_;
      } else if (word.kind == WordClass::kAuxiliary && !(word.is_to && noun_phrase_follows())) {
        verb_phrase();
      } else if (word.kind == WordClass::kPreposition || word.is_to) {
        take();
        if (goes_on()) noun_phrase();
        close(Phrase::Tag::kPreposition);
      } else {
        noun_phrase();
        close(Phrase::Tag::kNoun);
      }
    }
    return std::move(phrases_);
  }

 private:
  void take() {
    if (count_ == 0) first_ = next_;
    ++count_;
    ++next_;
  }
  // Whether the phrase may take the next word.
  bool goes_on() const { return next_ < words_.size() && count_ < kLongest && !words_[next_].after_break; }
  bool goes_on_with(WordClass kind) const { return goes_on() && words_[next_].kind == kind; }
  // "to the house", but not "to see".
  bool noun_phrase_follows() const {
    if (next_ + 1 >= words_.size() || words_[next_ + 1].after_break) return false;
    const WordClass kind = words_[next_ + 1].kind;
    return kind == WordClass::kDeterminer || kind == WordClass::kPronoun;
  }

  void noun_phrase() {
    const auto may_start = [&] { return goes_on_with(WordClass::kDeterminer) || goes_on_with(WordClass::kAdverb); };
    if (count_ == 0) {
      const bool alone = words_[next_].kind == WordClass::kPronoun;
      const bool starts = words_[next_].kind == WordClass::kDeterminer || words_[next_].kind == WordClass::kAdverb;
      take();
      if (alone) return;
      if (!starts) {
        while (goes_on_with(WordClass::kOpen)) take();
        return;
      }
    } else if (goes_on_with(WordClass::kPronoun)) {
      take();
      return;
    }
    while (may_start()) take();
    while (goes_on_with(WordClass::kOpen)) take();
  }

  void verb_phrase() {
    take();
    while (goes_on_with(WordClass::kAuxiliary) || goes_on_with(WordClass::kAdverb)) take();
    if (goes_on_with(WordClass::kOpen)) take();
    close(Phrase::Tag::kVerb);
  }

  void close(Phrase::Tag tag) {
    phrases_.push_back({tag, words_[first_].place.begin, words_[next_ - 1].place.end, count_});
    count_ = 0;
  }

  std::vector<Word> words_;
  std::vector<Phrase> phrases_;
  std::size_t next_ = 0, first_ = 0, count_ = 0;
};

constexpr std::array<std::string_view, 40> kAbbreviations = {
    "mr",  "mrs", "ms", "dr",  "prof", "st",  "sr",  "jr",  "vs",  "etc",  "e.g", "i.e", "cf",   "viz",
    "no",  "vol", "pp", "p",   "ch",   "fig", "ed",  "eds", "al",  "inc",  "ltd", "co",  "corp", "dept",
    "gen", "col", "lt", "sgt", "rev",  "hon", "jan", "feb", "aug", "sept", "oct", "dec"};

bool is_abbreviation(std::string_view text, std::size_t dot) {
  std::size_t begin = dot;
  while (begin > 0 && (is_word_byte(text[begin - 1]) || text[begin - 1] == '.') && dot - begin < 8) --begin;
  const std::string word = lower(text.substr(begin, dot - begin));
  if (word.size() == 1 && !ascii::is_digit(word[0])) return true;  // an initial
  return std::find(kAbbreviations.begin(), kAbbreviations.end(), word) != kAbbreviations.end();
}

bool ends_sentence(std::string_view text, std::size_t place) {
  const char c = text[place];
  if (c == '\n' || c == '!' || c == '?') return true;
  if (c != '.') return false;
  if (place + 1 < text.size() && is_word_byte(text[place + 1])) return false;
  std::size_t next = place + 1;
  while (next < text.size() && is_gap(text[next])) ++next;
  return !(next < text.size() && is_lower(text[next])) && !is_abbreviation(text, place);
}

}  // namespace

std::vector<WordPlace> words_of(std::string_view text) {
  std::vector<WordPlace> words;
  for (std::size_t at = 0; at < text.size();) {
    if (!is_word_byte(text[at])) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    while (at < text.size() && (is_word_byte(text[at]) || ((text[at] == '\'' || text[at] == '-') &&
                                                           at + 1 < text.size() && is_word_byte(text[at + 1])))) {
      ++at;
    }
    words.push_back({begin, at});
  }
  return words;
}

std::vector<Phrase> phrases(std::string_view text) { return Chunker(text).run(); }

std::vector<WordPlace> sentences(std::string_view text) {
  std::vector<WordPlace> result;
  std::size_t begin = 0;
  const auto close = [&](std::size_t end) {
    const auto blank = [&](std::size_t place) { return is_gap(text[place]) || text[place] == '\n'; };
    std::size_t last = end;
    while (begin < last && blank(begin)) ++begin;
    while (last > begin && blank(last - 1)) --last;
    if (last > begin) result.push_back({begin, last});
    begin = end;
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!ends_sentence(text, at)) continue;
    while (at + 1 < text.size() && std::string_view("\"')]}.!?").find(text[at + 1]) != std::string_view::npos) ++at;
    close(at + 1);
  }
  close(text.size());
  return result;
}

}  // namespace kinglet
