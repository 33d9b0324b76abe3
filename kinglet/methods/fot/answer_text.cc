#include "kinglet/methods/fot/answer_text.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "kinglet/base/ascii.h"
#include "kinglet/methods/fot/expression.h"
#include "kinglet/methods/fot/rational.h"

namespace kinglet::fot {
namespace {

// What follows the last marker, or nothing.
std::optional<std::string_view> after_marker(std::string_view text) {
  constexpr std::array<std::string_view, 4> kMarkers = {"####", "answer is", "answer:", "answer is:"};
  const std::string lowered = ascii::lower(text);
  std::size_t best = std::string::npos;
  for (const std::string_view marker : kMarkers) {
    const std::size_t found = lowered.rfind(marker);
    if (found == std::string::npos) continue;
    const std::size_t end = found + marker.size();
    if (best == std::string::npos || end > best) best = end;
  }
  if (best == std::string::npos) return std::nullopt;
  return text.substr(best);
}

struct Number {
  std::string text;
  std::size_t end = 0;
};

// A number that begins at or behind `from`: sign only where it is none of an operation, fraction bar without blanks.
std::optional<Number> next_number(std::string_view text, std::size_t from) {
  std::size_t begin = from;
  while (begin < text.size() && !ascii::is_digit(text[begin])) ++begin;
  if (begin == text.size()) return std::nullopt;
  std::size_t end = begin;
  const auto digit_at = [&](std::size_t at) { return at < text.size() && ascii::is_digit(text[at]); };
  while (end < text.size() &&
         (ascii::is_digit(text[end]) || ((text[end] == ',' || text[end] == '.') && digit_at(end + 1)))) {
    ++end;
  }
  std::string number(text.substr(begin, end - begin));
  std::erase(number, ',');
  if (begin > from && text[begin - 1] == '.') number.insert(0, "0.");
  std::size_t sign = begin;
  while (sign > from && (text[sign - 1] == '$' || text[sign - 1] == '.')) --sign;
  const bool minus = sign > from && text[sign - 1] == '-';
  if (minus && (sign == from + 1 || (!ascii::is_digit(text[sign - 2]) && text[sign - 2] != ')'))) number.insert(0, "-");
  return Number{std::move(number), end};
}

// The shortest way to write a number that parse_decimal knows; others stay as they are.
std::string canonical(const std::string& number) {
  const auto value = parse_decimal(number);
  return value ? value->to_text() : number;
}

std::optional<std::string> fraction_at(std::string_view text, const Number& first) {
  if (first.end + 1 >= text.size() || text[first.end] != '/' || !ascii::is_digit(text[first.end + 1]))
    return std::nullopt;
  const auto second = next_number(text, first.end + 1);
  const auto a = parse_decimal(first.text);
  const auto b = second ? parse_decimal(second->text) : std::nullopt;
  const auto value = a && b ? apply(Operation::kDivide, *a, *b) : std::nullopt;
  return value ? std::optional(value->to_text()) : std::nullopt;
}

std::optional<std::string> first_number(std::string_view text) {
  const auto number = next_number(text, 0);
  if (!number) return std::nullopt;
  if (auto fraction = fraction_at(text, *number)) return fraction;
  return canonical(number->text);
}

std::optional<std::string> last_number_text(std::string_view text) {
  std::optional<Number> last;
  for (auto number = next_number(text, 0); number; number = next_number(text, number->end)) last = number;
  return last ? std::optional(canonical(last->text)) : std::nullopt;
}

// "\boxed 7" and "\boxed{...}": where the content begins, behind the last marker.
std::optional<std::size_t> last_box(std::string_view text) {
  std::optional<std::size_t> place;
  for (const std::string_view marker : {std::string_view("\\boxed"), std::string_view("\\fbox")}) {
    const std::size_t found = text.rfind(marker);
    if (found != std::string_view::npos && (!place || found + marker.size() > *place)) place = found + marker.size();
  }
  return place;
}

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : ascii::trimmed(text)) {
    if (!ascii::is_blank(c))
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  while (!line.empty() && (line.back() == '.' || line.back() == ' ')) line.pop_back();
  return line;
}

}  // namespace

std::string without_thinking(std::string_view text) {
  constexpr std::string_view kOpen = "<think>", kClose = "</think>";
  std::string rest;
  for (;;) {
    const std::size_t close = text.find(kClose), open = text.find(kOpen);
    if (close != std::string_view::npos && close < open) {  // the template had opened it
      rest.clear();
      text.remove_prefix(close + kClose.size());
      continue;
    }
    rest += text.substr(0, open);
    if (open == std::string_view::npos || close == std::string_view::npos) break;
    text.remove_prefix(close + kClose.size());
  }
  return std::string(ascii::trimmed(rest));
}

std::optional<std::string> last_boxed(std::string_view text) {
  const auto box = last_box(text);
  if (!box) return std::nullopt;
  std::size_t at = *box;
  while (at < text.size() && text[at] == ' ') ++at;
  if (at == text.size()) return std::nullopt;
  if (text[at] != '{') {  // \boxed 7
    std::size_t end = at;
    while (end < text.size() && !ascii::is_blank(text[end]) && text[end] != '$' && text[end] != '}') ++end;
    return end > at ? std::optional(std::string(text.substr(at, end - at))) : std::nullopt;
  }
  int depth = 0;
  for (std::size_t end = at; end < text.size(); ++end) {
    if (text[end] == '\\' && end + 1 < text.size() && (text[end + 1] == '{' || text[end + 1] == '}')) {
      ++end;
    } else if (text[end] == '{') {
      ++depth;
    } else if (text[end] == '}' && --depth == 0) {
      return std::string(ascii::trimmed(text.substr(at + 1, end - at - 1)));
    }
  }
  return std::nullopt;
}

std::optional<std::string> numeric_answer(std::string_view text) {
  const std::string plain = plain_operators(text);
  // Braces become brackets in the plain text, so the box is looked for in the original one.
  if (const auto box = last_boxed(text)) {
    if (auto number = first_number(plain_operators(*box))) return number;
  }
  if (const auto behind = after_marker(plain)) {
    if (auto number = first_number(*behind)) return number;
  }
  return last_number_text(plain);
}

std::optional<std::string> math_answer(std::string_view text) {
  if (last_box(text)) return last_boxed(text);
  if (const auto behind = after_marker(text)) {
    std::string_view line = ascii::trimmed(*behind);
    line = line.substr(0, line.find('\n'));
    std::string answer = one_line(line);
    if (answer.starts_with(": ")) answer.erase(0, 2);
    if (answer.size() >= 2 && answer.front() == '$' && answer.back() == '$')
      answer = answer.substr(1, answer.size() - 2);
    if (!answer.empty()) return answer;
  }
  return last_number_text(plain_operators(text));
}

std::optional<std::string> choice_answer(std::string_view text, std::string_view choices) {
  const auto letter_in = [&](std::string_view part, bool last) -> std::optional<std::string> {
    std::optional<std::string> found;
    for (std::size_t at = 0; at < part.size(); ++at) {
      const char c = static_cast<char>(std::toupper(static_cast<unsigned char>(part[at])));
      if (choices.find(c) == std::string_view::npos || !ascii::is_letter(c)) continue;
      const bool free_before = at == 0 || !ascii::is_letter(part[at - 1]);
      const bool free_after = at + 1 == part.size() || !ascii::is_letter(part[at + 1]);
      if (!free_before || !free_after || part.substr(at + 1, 1) == "'") continue;
      // A lower-case "a" alone is the article, unless it stands in brackets or before a bracket.
      const bool marked = at + 1 < part.size() && (part[at + 1] == ')' || part[at + 1] == '.');
      if (part[at] != c && !marked && part.size() > 1) continue;
      found = std::string(1, c);
      if (!last) return found;
    }
    return found;
  };
  if (const auto box = last_boxed(text)) {
    if (auto letter = letter_in(*box, false)) return letter;
  }
  if (const auto behind = after_marker(text)) {
    if (auto letter = letter_in(*behind, false)) return letter;
  }
  return letter_in(text, true);
}

std::optional<std::string> plain_answer(std::string_view text) {
  std::string answer;
  if (const auto box = last_boxed(text)) {
    answer = *box;
  } else if (const auto behind = after_marker(text)) {
    const std::string_view line = ascii::trimmed(*behind);
    answer = std::string(line.substr(0, line.find('\n')));
  }
  if (answer.empty()) {
    const std::string_view all = ascii::trimmed(text);
    const std::size_t last = all.rfind('\n');
    answer = std::string(last == std::string_view::npos ? all : all.substr(last + 1));
  }
  answer = ascii::lower(one_line(answer));
  return answer.empty() ? std::nullopt : std::optional(answer);
}

bool is_refusal(std::string_view text) {
  constexpr std::array<std::string_view, 10> kStarts = {"i don't know",   "i do not know", "i can't",   "i cannot",
                                                        "i'm not sure",   "i am not sure", "i'm sorry", "sorry, i can",
                                                        "i have no idea", "i'm unable"};
  std::string start = ascii::lower(ascii::trimmed(text).substr(0, 64));
  for (std::size_t at; (at = start.find("\xE2\x80\x99")) != std::string::npos;) start.replace(at, 3, "'");
  if (start.empty()) return true;
  // A long text that begins with doubts may still come to an answer.
  if (text.size() > 400) return false;
  return std::any_of(kStarts.begin(), kStarts.end(), [&](std::string_view begin) { return start.starts_with(begin); });
}

}  // namespace kinglet::fot
