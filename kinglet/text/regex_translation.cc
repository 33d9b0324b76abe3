// Oniguruma's Ruby syntax to PCRE2's, one construct at a time.
#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "kinglet/base/ascii.h"
#include "kinglet/base/error.h"
#include "kinglet/text/regex.h"
#include "kinglet/text/regex_sets.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

constexpr int kDeepestClass = 16;
constexpr int kDeepestGroup = 200;

class Translator {
 public:
  Translator(std::string_view pattern, bool recent, std::string_view where)
      : pattern_(pattern), sets_(recent), where_(where) {}

  std::string run() {
    while (at_ < pattern_.size()) element();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw bad_input(where_, fmt::format("the pattern '{}' has {}, which is not supported", pattern_, what));
  }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0'; }
  bool looking_at(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  bool take(std::string_view text) {
    if (!looking_at(text)) return false;
    at_ += text.size();
    return true;
  }

  void element() {
    const char c = peek();
    if (c == '(') return open_group();
    if (c == ')') return close_group();
    if (c == '|' || c == '^' || c == '$') {
      out_ += c;
      ++at_;
      atom_.reset();
      return;
    }
    if (c == '*' || c == '+' || c == '?') return quantifier();
    if (c == '{' && interval()) return quantifier();
    atom_ = out_.size();
    if (c == '[') {
      ++at_;
      append_set_group(read_class(0));
    } else if (c == '\\') {
      ++at_;
      escape();
    } else if (c == '.') {
      out_ += c;
      ++at_;
    } else {
      literal(read_character());
    }
  }

  char32_t read_character() {
    const utf8::Character character = utf8::first_character(pattern_.substr(at_));
    if (!character.valid) refuse("bytes that are not UTF-8");
    at_ += character.length;
    return character.code;
  }

  static void append_literal(std::string& out, char32_t code) {
    const bool plain =
        code >= 0x80 || ascii::is_letter(static_cast<char>(code)) || ascii::is_digit(static_cast<char>(code));
    if (plain)
      utf8::append(out, code);
    else
      out += fmt::format("\\x{{{:x}}}", static_cast<std::uint32_t>(code));
  }
  void literal(char32_t code) { append_literal(out_, code); }

  // Groups. The start of each open one is kept, because a quantifier may have to wrap it.

  void open_group() {
    if (groups_.size() >= kDeepestGroup) refuse("too many nested groups");
    if (take("(?#")) {
      while (at_ < pattern_.size() && pattern_[at_] != ')') ++at_;
      if (!take(")")) refuse("a comment without end");
      return;
    }
    const std::size_t start = out_.size();
    ++at_;
    out_ += '(';
    if (take("?")) {
      if (!group_kind()) {  // options for the rest of the group, which close by themselves
        atom_.reset();
        return;
      }
    }
    groups_.push_back(start);
    atom_.reset();
  }

  // What stands after "(?". False for "(?i)".
  bool group_kind() {
    for (const std::string_view kind : {":", "=", "!", ">", "<=", "<!"}) {
      if (take(kind)) {
        out_ += '?';
        out_ += kind;
        return true;
      }
    }
    if (peek() == '<' || peek() == '\'') {
      const char close = peek() == '<' ? '>' : '\'';
      const std::size_t end = pattern_.find(close, at_ + 1);
      if (end == std::string_view::npos) refuse("a group name without end");
      out_ += '?';
      out_ += pattern_.substr(at_, end + 1 - at_);
      at_ = end + 1;
      return true;
    }
    return group_options();
  }

  bool group_options() {
    out_ += '?';
    for (; at_ < pattern_.size(); ++at_) {
      const char c = peek();
      if (c == 'i' || c == '-') {
        out_ += c;
      } else if (c == 'm') {
        out_ += 's';
      } else if (c == ':' || c == ')') {
        out_ += c;
        ++at_;
        return c == ':';
      } else {
        refuse(fmt::format("the group option '{}'", printable(std::string_view(&c, 1))));
      }
    }
    refuse("a group without end");
  }

  void close_group() {
    ++at_;
    out_ += ')';
    if (groups_.empty()) refuse("a parenthesis that closes nothing");
    atom_ = groups_.back();
    groups_.pop_back();
  }

  // Quantifiers.

  struct Interval {
    std::string_view low;
    std::string_view high;
    bool fixed = false;
    std::size_t length = 0;
  };

  std::optional<Interval> interval() const {
    if (peek() != '{') return std::nullopt;
    std::size_t i = at_ + 1;
    const auto digits = [&] {
      const std::size_t begin = i;
      while (i < pattern_.size() && ascii::is_digit(pattern_[i])) ++i;
      return pattern_.substr(begin, i - begin);
    };
    Interval result;
    result.low = digits();
    result.fixed = true;
    if (i < pattern_.size() && pattern_[i] == ',') {
      ++i;
      result.fixed = false;
      result.high = digits();
    }
    if (i >= pattern_.size() || pattern_[i] != '}' || (result.low.empty() && result.high.empty())) return std::nullopt;
    result.length = i + 1 - at_;
    return result;
  }

  void wrap_atom() {
    out_.insert(*atom_, "(?:");
    out_ += ')';
  }

  void quantifier() {
    if (!atom_) refuse("a quantifier without an object");
    if (quantified_ == std::pair(*atom_, out_.size())) wrap_atom();  // a quantifier of a quantified atom
    if (const auto range = interval()) {
      out_ += '{';
      out_ += range->low.empty() ? "0" : range->low;
      if (!range->fixed) out_ += ',';
      out_ += range->high;
      out_ += '}';
      at_ += range->length;
      if (!range->fixed && take("?")) out_ += '?';  // {n}? is an optional {n}, and {n,m}+ a repeated one
    } else {
      out_ += peek();
      ++at_;
      if (peek() == '?' || peek() == '+') {
        out_ += peek();
        ++at_;
      }
    }
    quantified_ = {*atom_, out_.size()};
  }

  // Escapes.

  // After "\p" or "\P".
  CharacterSet property_escape(bool negated) {
    if (!take("{")) refuse("a property without braces");
    if (take("^")) negated = !negated;
    const std::size_t end = pattern_.find('}', at_);
    if (end == std::string_view::npos) refuse("a property without end");
    const std::string_view name = pattern_.substr(at_, end - at_);
    at_ = end + 1;
    const auto content = sets_.named(name);
    if (!content) refuse("a property with a strange name");
    return {*content, negated};
  }

  std::optional<CharacterSet> set_escape() {
    const char c = peek();
    if (c == 'p' || c == 'P') {
      ++at_;
      return property_escape(c == 'P');
    }
    auto set = sets_.of_letter(c);
    if (set) ++at_;
    return set;
  }

  char32_t hexadecimal(std::size_t most_digits) {
    char32_t value = 0;
    std::size_t digits = 0;
    for (; digits < most_digits && std::isxdigit(static_cast<unsigned char>(peek())) != 0; ++digits, ++at_) {
      const char c = peek();
      value = value * 16 + static_cast<char32_t>(ascii::is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    if (digits == 0) refuse("an escape without digits");
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) refuse("an escape that is no character");
    return value;
  }

  // The character that an escape stands for; the backslash is already read.
  char32_t character_escape() {
    if (at_ >= pattern_.size()) refuse("a backslash at its end");
    switch (peek()) {
      case 't':
        return ++at_, U'\t';
      case 'n':
        return ++at_, U'\n';
      case 'r':
        return ++at_, U'\r';
      case 'f':
        return ++at_, U'\f';
      case 'v':
        return ++at_, U'\v';
      case 'a':
        return ++at_, U'\a';
      case 'e':
        return ++at_, char32_t{0x1B};
      case 'u':
        return ++at_, hexadecimal(4);
      case '0':
        return ++at_, U'\0';
      case 'x': {
        ++at_;
        if (take("{")) {
          const char32_t code = hexadecimal(8);
          if (!take("}")) refuse("a character code without end");
          return code;
        }
        const char32_t code = hexadecimal(2);
        if (code >= 0x80) refuse("a byte that is not ASCII");
        return code;
      }
      default:
        return read_character();
    }
  }

  void escape() {
    if (const auto set = set_escape()) return append_set(*set);
    const char c = peek();
    if (c == 'b' || c == 'B') {
      ++at_;
      const std::string inside = "[" + sets_.word() + "]";
      out_ += c == 'b' ? fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", inside)
                       : fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", inside);
      return;
    }
    if (c == 'A' || c == 'z' || c == 'Z' || c == 'G' || c == 'R' || c == 'K' || (c >= '1' && c <= '9')) {
      out_ += '\\';
      for (++at_, out_ += c; ascii::is_digit(c) && ascii::is_digit(peek()); ++at_) out_ += peek();
      return;
    }
    if (c == 'k' || c == 'g' || c == 'X' || c == 'N' || c == 'O' || c == 'c' || c == 'C' || c == 'M' || c == 'y' ||
        c == 'Y') {
      refuse(fmt::format("the escape '\\{}'", c));
    }
    literal(character_escape());
  }

  void append_set(const CharacterSet& set) { out_ += (set.negated ? "[^" : "[") + set.content + "]"; }

  // Classes: what is inside is a union of characters and of complements.

  struct Class {
    std::string content;
    std::vector<std::string> complements;  // contents of the sets whose complements belong to it
    std::vector<std::string> groups;       // nested classes that are no plain set, as groups
    bool negated = false;
  };

  void append_set_group(const Class& set) { out_ += group_of(set); }

  static std::string group_of(const Class& set) {
    if (set.complements.empty() && set.groups.empty()) {
      if (set.content.empty()) return set.negated ? "(?s:.)" : "(?!)";
      return (set.negated ? "[^" : "[") + set.content + "]";
    }
    std::string either;
    const auto add = [&](const std::string& one) { either += (either.empty() ? "" : "|") + one; };
    if (!set.content.empty()) add("[" + set.content + "]");
    for (const std::string& complement : set.complements) add("[^" + complement + "]");
    for (const std::string& group : set.groups) add(group);
    return set.negated ? fmt::format("(?:(?!{})(?s:.))", either) : fmt::format("(?:{})", either);
  }

  static void add_set(Class& to, const CharacterSet& set) {
    if (set.negated)
      to.complements.push_back(set.content);
    else
      to.content += set.content;
  }

  Class read_class(int depth) {
    if (depth > kDeepestClass) refuse("too many nested classes");
    Class result;
    result.negated = take("^");
    bool first = true;
    for (;; first = false) {
      if (at_ >= pattern_.size()) refuse("a class without end");
      if (!first && take("]")) return result;
      if (looking_at("&&")) refuse("an intersection of classes");
      if (looking_at("[:") && posix_set(result)) continue;
      if (take("[")) {
        const Class inner = read_class(depth + 1);
        if (!inner.negated && inner.complements.empty() && inner.groups.empty())
          result.content += inner.content;
        else
          result.groups.push_back(group_of(inner));
        continue;
      }
      class_item(result);
    }
  }

  bool posix_set(Class& result) {
    const std::size_t end = pattern_.find(":]", at_ + 2);
    if (end == std::string_view::npos || end - at_ > 20) return false;
    std::string_view name = pattern_.substr(at_ + 2, end - at_ - 2);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    if (name.empty() || !std::all_of(name.begin(), name.end(), ascii::is_letter)) return false;
    const auto content = sets_.named(name);
    if (!content) return false;
    at_ = end + 2;
    add_set(result, {*content, negated});
    return true;
  }

  // A character, a range or an escaped set.
  void class_item(Class& result) {
    const auto low = class_character(result);
    if (!low) return;
    append_literal(result.content, *low);
    if (peek() != '-' || peek(1) == ']' || at_ + 1 >= pattern_.size()) return;
    const std::size_t dash = at_;
    ++at_;
    if (peek() == '[') {
      at_ = dash;
      return;
    }
    const auto high = class_character(result);
    if (!high) {
      append_literal(result.content, U'-');
      return;
    }
    result.content += '-';
    append_literal(result.content, *high);
  }

  // The next character of a class, or nothing after an escaped set, which is added.
  std::optional<char32_t> class_character(Class& result) {
    if (!take("\\")) return read_character();
    if (const auto set = set_escape()) {
      add_set(result, *set);
      return std::nullopt;
    }
    if (take("b")) return char32_t{8};
    return character_escape();
  }

  std::string_view pattern_;
  RegexSets sets_;
  std::string_view where_;
  std::size_t at_ = 0;
  std::string out_;
  std::vector<std::size_t> groups_;
  std::optional<std::size_t> atom_;                                       // where the last atom begins in out_
  std::pair<std::size_t, std::size_t> quantified_{std::string::npos, 0};  // the last quantified atom and its end
};

}  // namespace

std::string translate_regex(std::string_view pattern, bool recent, std::string_view where) {
  return Translator(pattern, recent, where).run();
}

}  // namespace kinglet
