// GCIDE's articles:
//
//   Pen \Pen\, v. t. [imp. & p. p. {Penned}or {Pent} (?); ...] [OE. pennen ...]
//      To shut up, as in a pen or cage; ...
//      [1913 Webster]
//
//            Watching where shepherds pen their flocks at eve.
//                                                     --Milton.
#include <algorithm>
#include <array>
#include <cctype>
#include <tuple>

#include <fmt/format.h>

#include "kinglet/text/dictionary_entry.h"
#include "kinglet/text/dictionary_text.h"

namespace kinglet {
namespace {

using Kind = DictionaryPart::Kind;
using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::size_t kQuotationIndent = 9;

constexpr Pair kPartsOfSpeech[] = {{"v. t. & i.", "verb"},
                                   {"v. i. & t.", "verb"},
                                   {"a. & n.", "adjective and noun"},
                                   {"n. & a.", "noun and adjective"},
                                   {"n. & v.", "noun and verb"},
                                   {"a. & adv.", "adjective and adverb"},
                                   {"adv. & a.", "adverb and adjective"},
                                   {"v. t.", "transitive verb"},
                                   {"v. i.", "intransitive verb"},
                                   {"prop. n.", "proper noun"},
                                   {"n. pl.", "plural noun"},
                                   {"n. sing.", "noun"},
                                   {"vb. n.", "verbal noun"},
                                   {"p. a.", "participial adjective"},
                                   {"p. p. & a.", "participle"},
                                   {"p. & a.", "participle"},
                                   {"definite article.", "article"},
                                   {"p. pr. & a.", "participle"},
                                   {"p. p.", "past participle"},
                                   {"p. pr.", "present participle"},
                                   {"imp. & p. p.", "past tense and participle"},
                                   {"adv.", "adverb"},
                                   {"adj.", "adjective"},
                                   {"prep.", "preposition"},
                                   {"conj.", "conjunction"},
                                   {"interj.", "interjection"},
                                   {"pron.", "pronoun"},
                                   {"imp.", "past tense"},
                                   {"a.", "adjective"},
                                   {"n.", "noun"},
                                   {"v.", "verb"}};

// Words of the head of an article that say how the headword is inflected.
constexpr std::string_view kHeadWords[] = {
    "pl.",  "sing.", "imp.", "p. p.", "p. pr.", "vb. n.", "comp.", "superl.", "obs.", "fem.",  "masc.",   "dat.",
    "acc.", "nom.",  "&",    "or",    "and",    "also",   "E.",    "L.",      "def.", "poss.", "object.", "collect."};

std::size_t indent_of(std::string_view line) { return std::min(line.find_first_not_of(' '), line.size()); }

// "[1913 Webster]" and the like: a line that names where the text comes from.
bool is_source_line(std::string_view line) {
  if (!line.starts_with('[') || !line.ends_with(']')) return false;
  static constexpr std::string_view kSources[] = {"Webster", "WordNet", "PJC",  "Century", "[AS]",
                                                  "[RDH",    "[RP]",    "[GG]", "[JC",     "[MW"};
  return std::any_of(std::begin(kSources), std::end(kSources),
                     [&](std::string_view name) { return line.find(name) != std::string_view::npos; });
}

// "2. " or "(a) " at the beginning of a line.
std::string sense_mark(std::string_view line) {
  std::size_t at = 0;
  while (at < line.size() && std::isdigit(static_cast<unsigned char>(line[at])) != 0) ++at;
  if (at > 0 && at <= 2 && line.substr(at, 1) == "." && (line.size() == at + 1 || line[at + 1] == ' ')) {
    return std::string(line.substr(0, at + 1));
  }
  const bool letter = line.size() > 3 && line[0] == '(' && std::islower(static_cast<unsigned char>(line[1])) != 0 &&
                      line[2] == ')' && line[3] == ' ';
  return letter ? std::string(line.substr(0, 3)) : std::string();
}

struct Paragraph {
  std::size_t indent = 0;
  std::string mark, text;
};

std::vector<Paragraph> paragraphs_of(std::string_view body) {
  std::vector<Paragraph> result;
  bool open = false;
  for (const std::string_view line : lines_of(body)) {
    const std::size_t indent = indent_of(line);
    std::string_view text = line.substr(indent);
    while (text.ends_with(' ') || text.ends_with('\r')) text.remove_suffix(1);
    if (text.empty() || is_source_line(text)) {
      open = false;
      continue;
    }
    std::string mark = sense_mark(text);
    const bool quotes_on = open && result.back().indent >= kQuotationIndent && result.back().mark.empty();
    if (quotes_on) mark.clear();  // verse that begins with a number
    if (!open || !mark.empty()) {
      text.remove_prefix(std::min(mark.size(), text.size()));
      result.push_back({indent, std::move(mark), std::string(text)});
    } else {
      result.back().text += "\n" + std::string(text);
    }
    open = true;
  }
  return result;
}

// Reads away what stands between the pronunciation and the first definition.
class HeadReader {
 public:
  explicit HeadReader(std::string_view text) : text_(text) {}

  void run() {
    bool inflects = false;
    for (;;) {
      skip(" ,;.\n");
      if (at_ >= text_.size()) return;
      if (take_part_of_speech()) continue;
      if (take_head_word()) {
        inflects = true;
        continue;
      }
      if (skip_other_headword()) continue;
      const char c = text_[at_];
      if (c == '[' && skip_group()) continue;
      if (c == '{' && inflects && skip_group()) continue;
      if (c == '(' && !is_field() && skip_group()) continue;
      return;
    }
  }
  std::string part_of_speech() const { return part_of_speech_; }
  std::string_view rest() const { return text_.substr(at_); }

 private:
  void skip(std::string_view characters) { at_ = std::min(text_.find_first_not_of(characters, at_), text_.size()); }

  // Blanks in a table entry stand for any white space in the text.
  bool take(std::string_view words) {
    std::size_t at = at_;
    for (const char c : words) {
      if (c == ' ') {
        const std::size_t next = std::min(text_.find_first_not_of(" \n", at), text_.size());
        if (next == at) return false;
        at = next;
      } else if (at < text_.size() && text_[at] == c) {
        ++at;
      } else {
        return false;
      }
    }
    const bool ends = at == text_.size() || std::isalnum(static_cast<unsigned char>(text_[at])) == 0;
    if (ends) at_ = at;
    return ends;
  }

  bool take_part_of_speech() {
    for (const auto& [mark, name] : kPartsOfSpeech) {
      if (!take(mark)) continue;
      if (part_of_speech_.empty()) part_of_speech_ = name;
      return true;
    }
    return false;
  }
  bool take_head_word() {
    const std::size_t before = at_;
    for (const std::string_view word : kHeadWords) {
      if (!take(word)) continue;
      const std::size_t next = text_.find_first_not_of(" \n", at_);
      const char c = next == std::string_view::npos ? '\0' : text_[next];
      const bool plain_word = std::isalpha(static_cast<unsigned char>(word.back())) != 0;
      if (c == '{' || c == '(' || c == '[' || !plain_word) return true;
      at_ = before;
    }
    return false;
  }

  // "Homeothermal \...\, Homeothermic \...\ adj.": another spelling with its pronunciation.
  bool skip_other_headword() {
    constexpr std::size_t kLongest = 80;
    const std::size_t first = text_.find('\\', at_), second = text_.find('\\', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos || first - at_ > kLongest) return false;
    const std::string_view between = text_.substr(at_, first - at_);
    if (between.find('.') != std::string_view::npos || between.find('(') != std::string_view::npos) return false;
    at_ = second + 1;
    return true;
  }

  std::size_t closing() const {
    const char open = text_[at_], close = open == '[' ? ']' : open == '{' ? '}' : ')';
    int depth = 0;
    for (std::size_t i = at_; i < text_.size(); ++i) {
      if (text_[i] == open) ++depth;
      if (text_[i] == close && --depth == 0) return i;
    }
    return std::string_view::npos;
  }
  bool skip_group() {
    const std::size_t end = closing();
    if (end == std::string_view::npos) return false;
    at_ = end + 1;
    return true;
  }
  // "(Zool.)", unlike "(r[u^]n)": a capital, then letters, stops and blanks.
  bool is_field() const {
    const std::size_t end = closing();
    if (end == std::string_view::npos) return false;
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    if (inside.find_first_of("*[?\"`") != std::string_view::npos) return false;  // a pronunciation
    if (inside.empty() || std::isupper(static_cast<unsigned char>(inside[0])) == 0) {
      return inside.size() > 24;  // a remark that belongs to the definition
    }
    return std::all_of(inside.begin(), inside.end(), [](char c) {
      return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '.' || c == ' ' || c == '&' || c == '\n' ||
             c == '-' || c == ',';
    });
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string part_of_speech_;
};

// " -- {Un*wor"thi*ly}, adv.": forms of the word that are only listed.
std::string without_run_ons(std::string text) {
  for (std::size_t at = text.find("-- {"); at != std::string::npos; at = text.find("-- {", at + 1)) {
    const std::size_t end = text.find('}', at);
    if (end == std::string::npos) break;
    std::size_t after = std::min(text.find_first_not_of(", \n", end + 1), text.size());
    const bool listed = std::any_of(std::begin(kPartsOfSpeech), std::end(kPartsOfSpeech), [&](const Pair& one) {
      return std::string_view(text).substr(after).starts_with(one.first);
    });
    if (listed && text[std::min(end + 1, text.size() - 1)] == ',') return text.substr(0, at);
  }
  return text;
}

std::string author_name(std::string name) {
  static constexpr Pair kShort[] = {{"Shak.", "Shakespeare"}, {"Chaucer.", "Chaucer"}, {"Tennyson.", "Tennyson"}};
  for (const auto& [mark, full] : kShort) {
    if (name == mark) return std::string(full) + ".";
  }
  return name;
}

// "A claw. — Holland.": a definition without the name of the one who used the word so.
std::string without_witness(std::string text) {
  constexpr std::string_view kDash = " — ";
  const std::size_t dash = text.rfind(kDash);
  if (dash == std::string::npos || dash == 0 || text.size() - dash > 40) return text;
  const bool is_name = std::isupper(static_cast<unsigned char>(text[dash + kDash.size()])) != 0;
  const char before = text[dash - 1];
  return is_name && (before == '.' || before == ';' || before == ')' || before == ',') ? text.substr(0, dash) : text;
}

// The words, and who wrote them: "--Milton." at the end.
std::optional<DictionaryPart> quotation(const Paragraph& paragraph) {
  const std::size_t dash = paragraph.text.rfind("--");
  if (paragraph.indent < kQuotationIndent || dash == std::string::npos || paragraph.text.size() - dash > 80 ||
      dash == 0) {
    return std::nullopt;
  }
  std::string words = without_gcide_markup(paragraph.text.substr(0, dash));
  std::string author = without_gcide_markup(paragraph.text.substr(dash + 2));
  while (author.starts_with('-')) author.erase(0, 1);
  if (words.empty() || author.empty()) return std::nullopt;
  std::replace(words.begin(), words.end(), '"', '\'');
  return DictionaryPart{
      Kind::kQuotation, {}, {}, fmt::format("\"{}\" — {}", words, with_full_stop(author_name(author)))};
}

class ArticleReader {
 public:
  std::optional<DictionaryEntry> run(std::string_view article) {
    const std::size_t first = article.find('\\'), second = article.find('\\', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos || first > 200) return std::nullopt;
    // The first article has a motto in front of its headword.
    const std::size_t motto = article.substr(0, first).rfind('\n');
    const std::size_t begin = motto == std::string_view::npos || first < 100 ? 0 : motto + 1;
    entry_.headword = without_gcide_markup(article.substr(begin, first - begin));
    if (entry_.headword.empty()) return std::nullopt;
    std::vector<Paragraph> paragraphs = paragraphs_of(article.substr(second + 1));
    if (paragraphs.empty()) return std::nullopt;
    read_head(paragraphs);
    for (const Paragraph& paragraph : paragraphs) add(paragraph);
    std::erase_if(entry_.parts, [](const DictionaryPart& part) { return has_markup(part.text); });
    drop_lonely_number();
    if (!has_definition() || has_markup(entry_.headword) || is_reference()) return std::nullopt;
    entry_.parts.front().part_of_speech = part_of_speech_;
    return std::move(entry_);
  }

 private:
  // The first paragraph begins with the head, in rare cases it goes on behind a line of source.
  void read_head(std::vector<Paragraph>& paragraphs) {
    HeadReader head(paragraphs.front().text);
    head.run();
    part_of_speech_ = head.part_of_speech();
    paragraphs.front().text = std::string(head.rest());
    paragraphs.front().indent = 3;
  }

  void add(const Paragraph& paragraph) {
    if (paragraph.text.empty()) return note_number(paragraph.mark);
    if (auto quoted = quotation(paragraph)) {
      if (has_definition()) entry_.parts.push_back(std::move(*quoted));
      return;
    }
    std::string text = without_run_ons(paragraph.text);
    if (text.starts_with("Syn:")) return add_synonyms(text);
    if (text.starts_with("{") && paragraph.mark.empty() && has_definition()) return add_phrase(text);
    text = without_gcide_markup(text);
    while (text.ends_with("—")) text = tidy_spaces(text.substr(0, text.size() - 3));
    if (text.starts_with("Note:")) return add_note(text);
    if (text.find_first_not_of(" .,;:()?") == std::string::npos || text.size() < 3) return note_number(paragraph.mark);
    note_number(paragraph.mark);
    if (paragraph.mark.empty() && has_definition()) return add_note(text);
    entry_.parts.push_back({Kind::kDefinition, {}, number(), tidy_sentence(without_witness(text))});
  }

  // "See divine.": says nothing.
  bool is_reference() const {
    return entry_.parts.size() == 1 && entry_.parts[0].text.starts_with("See ") && entry_.parts[0].text.size() < 60;
  }

  void note_number(const std::string& mark) {
    if (mark.ends_with('.')) {
      number_ = mark.substr(0, mark.size() - 1);
      letter_.clear();
    } else if (!mark.empty()) {
      letter_ = mark;
    }
  }
  std::string number() const {
    return number_.empty() || letter_.empty() ? number_ + letter_ : number_ + " " + letter_;
  }

  bool has_definition() const { return !entry_.parts.empty() && entry_.parts.front().kind == Kind::kDefinition; }

  void add_note(const std::string& text) {
    if (has_definition()) entry_.parts.push_back({Kind::kNote, {}, {}, tidy_sentence(text)});
  }
  void add_synonyms(const std::string& text) {
    std::string words = without_gcide_markup(text.substr(4));
    while (words.starts_with("—") || words.starts_with(' ') || words.starts_with('.') || words.starts_with('-')) {
      words.erase(0, words.starts_with("—") ? std::string_view("—").size() : 1);
    }
    if (words.size() < 3) return;
    add_note("Synonyms: " + words);
  }
  // "{Run steel}, malleable iron castings."
  void add_phrase(const std::string& text) {
    const std::size_t end = text.find('}');
    const bool named =
        end != std::string::npos && end + 1 < text.size() && (text[end + 1] == ',' || text[end + 1] == ' ');
    if (!named) return add_note(without_gcide_markup(text));
    const std::string phrase = without_gcide_markup(text.substr(0, end + 1));
    std::string meaning = text.substr(end + 1);
    meaning.erase(0, std::min(meaning.find_first_not_of(", \n"), meaning.size()));
    meaning = without_gcide_markup(meaning);
    if (meaning.size() < 3) return;
    add_note(phrase + ": " + meaning);
  }

  // "1." where no second sense follows.
  void drop_lonely_number() {
    const auto count = std::count_if(entry_.parts.begin(), entry_.parts.end(),
                                     [](const DictionaryPart& part) { return part.kind == Kind::kDefinition; });
    for (DictionaryPart& part : entry_.parts) {
      if (count == 1) part.number.clear();
    }
  }

  DictionaryEntry entry_;
  std::string part_of_speech_, number_, letter_;
};

}  // namespace

std::optional<DictionaryEntry> parse_gcide(std::string_view article) {
  const std::string text = valid_text(article);
  return ArticleReader().run(text);
}

}  // namespace kinglet
