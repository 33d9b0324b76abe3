// Cuts a template into text and tokens. White space follows transformers' settings of Jinja: trim_blocks (the line end
// after a block tag or comment goes away), lstrip_blocks (blanks between a line's start and a block tag or comment go
// away), and the last line end of the template is dropped.
#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/jinja_syntax.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet::jinja {
namespace {

constexpr std::size_t kMaxSource = 1 << 20;

// Jinja counts every kind of line end as one "\n".
std::string with_plain_line_ends(std::string_view source) {
  std::string result;
  result.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      result.push_back(source[i]);
    } else {
      result.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!result.empty() && result.back() == '\n') result.pop_back();
  return result;
}

bool is_name_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || (static_cast<unsigned char>(c) & 0x80U) != 0;
}
bool is_decimal(char c) { return c >= '0' && c <= '9'; }
bool is_name_part(char c) { return is_name_start(c) || is_decimal(c); }

class Lexer {
 public:
  Lexer(std::string_view source, std::string_view where) : source_(with_plain_line_ends(source)), where_(where) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_text_and_tag();
    add(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw bad_input(fmt::format("{}, line {}", where_, line_), what, "correct the template");
  }

  bool here(std::string_view text) const { return std::string_view(source_).substr(at_, text.size()) == text; }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }

  void advance(std::size_t count) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at_ + count), '\n'));
    at_ += count;
    if (count > 0) line_starts_ = source_[at_ - 1] == '\n';
  }
  void skip_space() {
    while (at_ < source_.size() && is_space(code_point_at(source_, at_))) advance(next_code_point(source_, at_) - at_);
  }
  void add(Token::Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  // Text up to the next tag, then the tag.
  void read_text_and_tag() {
    std::size_t begin = source_.find('{', at_);
    while (begin != std::string::npos && !is_tag(begin)) begin = source_.find('{', begin + 1);
    if (begin == std::string::npos) {
      add_text(source_.substr(at_));
      advance(source_.size() - at_);
      return;
    }
    read_tag(begin);
  }
  bool is_tag(std::size_t place) const {
    const char next = place + 1 < source_.size() ? source_[place + 1] : '\0';
    return next == '{' || next == '%' || next == '#';
  }

  void add_text(std::string_view text) {
    if (!text.empty()) add(Token::Kind::kText, std::string(text));
  }

  // Text before a tag whose third character is `sign`, without what the tag takes away.
  std::string_view text_before(std::size_t tag, char sign, bool is_variable) const {
    const std::string_view text = std::string_view(source_).substr(at_, tag - at_);
    if (sign == '-') return strip(text, Ends::kRight);
    if (sign == '+' || is_variable) return text;
    const std::size_t line_end = text.rfind('\n');
    if (line_end == std::string_view::npos && !line_starts_) return text;
    const std::size_t line_begin = line_end == std::string_view::npos ? 0 : line_end + 1;
    return strip(text.substr(line_begin)).empty() ? text.substr(0, line_begin) : text;
  }

  void read_tag(std::size_t tag) {
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    add_text(text_before(tag, sign, kind == '{'));
    advance(tag - at_);
    advance(2);
    if (sign == '-' || sign == '+') advance(1);
    if (kind == '#')
      skip_comment();
    else if (kind == '%' && starts_raw())
      read_raw();
    else
      read_inside(kind == '{');
  }

  // The end of a tag: consumes it with the white space that it takes away.
  bool end_of_tag(std::string_view mark, bool trims_line) {
    if (peek() == '-' && std::string_view(source_).substr(std::min(at_ + 1, source_.size()), 2) == mark) {
      advance(3);
      skip_space();
      return true;
    }
    if (trims_line && peek() == '+' && std::string_view(source_).substr(std::min(at_ + 1, source_.size()), 2) == mark) {
      advance(3);
      return true;
    }
    if (!here(mark)) return false;
    advance(2);
    if (trims_line && peek() == '\n') advance(1);
    return true;
  }

  void skip_comment() {
    while (at_ < source_.size()) {
      if (end_of_tag("#}", true)) return;
      advance(1);
    }
    fail("a comment has no end");
  }

  // {% raw %} ... {% endraw %}: text in which nothing is a tag.
  bool starts_raw() const {
    const std::string_view rest = strip(std::string_view(source_).substr(at_), Ends::kLeft);
    return rest.starts_with("raw") && (strip(rest.substr(3), Ends::kLeft).starts_with("%}") ||
                                       strip(rest.substr(3), Ends::kLeft).starts_with("-%}"));
  }
  void read_raw() {
    skip_space();
    advance(3);
    skip_space();
    end_of_tag("%}", false);
    for (std::size_t end = source_.find("{%", at_); end != std::string::npos; end = source_.find("{%", end + 2)) {
      const char sign = end + 2 < source_.size() ? source_[end + 2] : '\0';
      const std::size_t word = end + (sign == '-' || sign == '+' ? 3 : 2);
      const std::string_view rest =
          strip(std::string_view(source_).substr(std::min(word, source_.size())), Ends::kLeft);
      if (!rest.starts_with("endraw")) continue;
      const std::string_view text = text_before(end, sign, false);
      add_text(text);
      advance(end - at_);
      advance(source_.find("endraw", at_) + 6 - at_);
      skip_space();
      if (!end_of_tag("%}", true)) fail("'endraw' takes no arguments");
      return;
    }
    fail("'raw' has no 'endraw'");
  }

  // The tokens between {{ and }}, or {% and %}. Inside brackets "}}" is two brackets.
  void read_inside(bool is_variable) {
    add(is_variable ? Token::Kind::kVariableBegin : Token::Kind::kBlockBegin, "");
    std::string open;  // brackets that wait for their end
    for (;;) {
      if (open.empty() && end_of_tag(is_variable ? "}}" : "%}", !is_variable)) break;
      skip_space();
      if (at_ >= source_.size()) fail(is_variable ? "'{{' has no '}}'" : "'{%' has no '%}'");
      if (open.empty() && end_of_tag(is_variable ? "}}" : "%}", !is_variable)) break;
      read_token(open);
    }
    add(is_variable ? Token::Kind::kVariableEnd : Token::Kind::kBlockEnd, "");
  }

  void read_token(std::string& open) {
    const char c = peek();
    if (is_decimal(c)) return read_number();
    if (is_name_start(c)) return read_name();
    if (c == '\'' || c == '"') return read_string(c);
    read_operator(open);
  }

  void read_name() {
    std::size_t end = at_;
    while (end < source_.size() && is_name_part(source_[end])) ++end;
    add(Token::Kind::kName, source_.substr(at_, end - at_));
    advance(end - at_);
  }

  // Digits with single underscores between them.
  std::size_t digits_end(std::size_t at) const {
    while (at < source_.size() && (is_decimal(source_[at]) ||
                                   (source_[at] == '_' && at + 1 < source_.size() && is_decimal(source_[at + 1])))) {
      ++at;
    }
    return at;
  }
  bool digit_at(std::size_t at) const { return at < source_.size() && is_decimal(source_[at]); }

  void read_number() {
    if (peek() == '0' && (std::isalpha(static_cast<unsigned char>(peek(1))) != 0)) return read_based_number();
    std::size_t end = digits_end(at_);
    bool is_float = false;
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (!after_dot && end < source_.size() && source_[end] == '.' && digit_at(end + 1)) {
      is_float = true;
      end = digits_end(end + 1);
    }
    if (!after_dot && end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      const std::size_t sign = end + 1 < source_.size() && (source_[end + 1] == '-' || source_[end + 1] == '+') ? 1 : 0;
      if (digit_at(end + 1 + sign)) {
        is_float = true;
        end = digits_end(end + 1 + sign);
      }
    }
    add_number(is_float ? Token::Kind::kFloat : Token::Kind::kInteger, end);
  }
  void read_based_number() {
    std::size_t end = at_ + 2;
    while (end < source_.size() && (std::isalnum(static_cast<unsigned char>(source_[end])) != 0)) ++end;
    add_number(Token::Kind::kInteger, end);
  }
  void add_number(Token::Kind kind, std::size_t end) {
    std::string digits = source_.substr(at_, end - at_);
    digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
    add(kind, std::move(digits));
    advance(end - at_);
  }

  void read_string(char quote) {
    const int line = line_;
    std::string text;
    advance(1);
    while (peek() != quote) {
      if (at_ >= source_.size()) fail(fmt::format("the text that begins in line {} has no end", line));
      if (peek() == '\\') {
        read_escape(text);
      } else {
        text.push_back(peek());
        advance(1);
      }
    }
    advance(1);
    tokens_.push_back({Token::Kind::kString, std::move(text), line});
  }

  void read_escape(std::string& text) {
    static constexpr std::string_view kLetters = "abfnrtv\\'\"";
    static constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    const char letter = peek(1);
    advance(std::min<std::size_t>(2, source_.size() - at_));
    if (const std::size_t known = kLetters.find(letter); letter != '\0' && known != std::string_view::npos) {
      text.push_back(kMeanings[known]);
    } else if (letter == 'x' || letter == 'u' || letter == 'U') {
      append_number(text, letter == 'x' ? 2 : letter == 'u' ? 4 : 8, 16);
    } else if (letter >= '0' && letter <= '7') {
      at_ -= 1;
      std::size_t digits = 1;
      while (digits < 3 && peek(digits) >= '0' && peek(digits) <= '7') ++digits;
      append_number(text, digits, 8);
    } else if (letter != '\n') {  // a line end after a backslash joins the lines
      text.push_back('\\');
      text.push_back(letter);
    }
  }
  void append_number(std::string& text, std::size_t digits, int base) {
    const std::string number = source_.substr(at_, digits);
    const auto is_digit_of_base = [&](char c) {
      return base == 16 ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : c >= '0' && c <= '7';
    };
    if (number.size() != digits || !std::all_of(number.begin(), number.end(), is_digit_of_base)) {
      fail("an escape in a text has too few digits");
    }
    const unsigned long value = std::stoul(number, nullptr, base);
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) fail("an escape in a text is no character");
    append_code_point(text, static_cast<char32_t>(value));
    advance(digits);
  }

  void read_operator(std::string& open) {
    static constexpr std::array<std::string_view, 26> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "*",
                                                                    "/",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                                    ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    const auto found =
        std::find_if(kOperators.begin(), kOperators.end(), [&](std::string_view text) { return here(text); });
    if (found == kOperators.end()) fail("a character that has no meaning in an expression");
    const char c = found->front();
    if (c == '(' || c == '[' || c == '{') open.push_back(c);
    if (c == ')' || c == ']' || c == '}') {
      const char begin = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (open.empty() || open.back() != begin) fail(fmt::format("'{}' without its '{}'", c, begin));
      open.pop_back();
    }
    add(Token::Kind::kOperator, std::string(*found));
    advance(found->size());
  }

  std::string source_;
  std::string_view where_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source, std::string_view where) {
  if (source.size() > kMaxSource) throw bad_input(where, "a chat template of more than 1 MiB is not read");
  if (!is_utf8(source)) throw bad_input(where, "the chat template is not valid UTF-8");
  return Lexer(source, where).run();
}

}  // namespace kinglet::jinja
