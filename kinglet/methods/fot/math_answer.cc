#include "kinglet/methods/fot/math_answer.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "kinglet/base/ascii.h"
#include "kinglet/methods/fot/expression.h"
#include "kinglet/methods/fot/rational.h"

namespace kinglet::fot {
namespace {

constexpr std::size_t kLongestAnswer = 2000;
constexpr int kDeepestBraces = 8;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// A LaTeX command ends where no letter follows: \left but not \leftarrow.
void remove_command(std::string& text, std::string_view command) {
  for (std::size_t at = text.find(command); at != std::string::npos; at = text.find(command, at)) {
    const std::size_t end = at + command.size();
    if (end < text.size() && ascii::is_letter(text[end])) {
      at = end;
    } else {
      text.erase(at, command.size());
    }
  }
}

// Where the group that opens at `open` closes; npos when it does not.
std::size_t closing_brace(std::string_view text, std::size_t open) {
  int depth = 0;
  for (std::size_t at = open; at < text.size(); ++at) {
    if (text[at] == '{') ++depth;
    if (text[at] == '}' && --depth == 0) return at;
  }
  return std::string_view::npos;
}

// \text{...} keeps its content when it is all of the answer, and goes as a unit when something stands before it.
void resolve_text_groups(std::string& text) {
  for (const std::string_view command :
       {std::string_view("\\text{"), std::string_view("\\textbf{"), std::string_view("\\mathrm{"),
        std::string_view("\\mbox{"), std::string_view("\\textit{"), std::string_view("\\operatorname{")}) {
    for (std::size_t at = text.find(command); at != std::string::npos; at = text.find(command)) {
      const std::size_t open = at + command.size() - 1, close = closing_brace(text, open);
      if (close == std::string::npos) return;
      const bool is_unit = at > 0 && (ascii::is_digit(text[at - 1]) || text[at - 1] == '}' || text[at - 1] == ' ') &&
                           close + 1 == text.size();
      std::string content = text.substr(open + 1, close - open - 1);
      // An exponent of the unit goes with it: 25\text{ cm}^2.
      text.replace(at, close - at + 1, is_unit ? std::string() : content);
    }
  }
}

void remove_unit_exponent(std::string& text) {
  for (const std::string_view command :
       {std::string_view("\\text{"), std::string_view("\\mathrm{"), std::string_view("\\mbox{")}) {
    const std::size_t at = text.rfind(command);
    if (at == std::string::npos || at == 0) continue;
    const std::size_t close = closing_brace(text, at + command.size() - 1);
    if (close == std::string::npos) continue;
    const std::string_view rest = std::string_view(text).substr(close + 1);
    if (rest == "^2" || rest == "^3" || rest == "^{2}" || rest == "^{3}") text.resize(close + 1);
  }
}

// \frac12, \frac1{72}, \sqrt3: braces around single-character arguments.
void complete_arguments(std::string& text, std::string_view command, int arguments) {
  for (std::size_t at = text.find(command); at != std::string::npos; at = text.find(command, at)) {
    at += command.size();
    if (at < text.size() && ascii::is_letter(text[at])) continue;
    std::size_t place = at;
    for (int i = 0; i < arguments && place < text.size(); ++i) {
      if (text[place] == '{') {
        const std::size_t close = closing_brace(text, place);
        if (close == std::string::npos) return;
        place = close + 1;
      } else if (ascii::is_digit(text[place]) || ascii::is_letter(text[place])) {
        text.insert(place + 1, "}");
        text.insert(place, "{");
        place += 3;
      } else {
        break;  // a command or an optional argument: left as it is
      }
    }
  }
}

// "x=5", "k = 3": a short name before the only equals sign.
void remove_name(std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || text.find('=', equals + 1) != std::string::npos) return;
  if (equals == 0 || equals > 2 || !ascii::is_letter(text[0])) return;
  text.erase(0, equals + 1);
}

std::optional<std::pair<std::string, std::string>> fraction_parts(std::string_view text) {
  constexpr std::string_view kFraction = "\\frac{";
  if (!text.starts_with(kFraction)) return std::nullopt;
  const std::size_t open = kFraction.size() - 1, close = closing_brace(text, open);
  if (close == std::string_view::npos || close + 1 >= text.size() || text[close + 1] != '{') return std::nullopt;
  if (closing_brace(text, close + 1) != text.size() - 1) return std::nullopt;
  return std::pair(std::string(text.substr(open + 1, close - open - 1)),
                   std::string(text.substr(close + 2, text.size() - close - 3)));
}

// The value of "-12", "0.50", "3/4", "\frac{3}{4}", "-\frac{3}{4}", "1,234".
std::optional<Rational> number_of(std::string_view text) {
  const bool negative = text.starts_with("-");
  const std::string_view positive = negative ? text.substr(1) : text;
  std::optional<Rational> value;
  if (const auto parts = fraction_parts(positive)) {
    const auto above = parse_decimal(parts->first), below = parse_decimal(parts->second);
    if (above && below) value = apply(Operation::kDivide, *above, *below);
  } else if (const std::size_t bar = positive.find('/'); bar != std::string_view::npos) {
    const auto above = parse_decimal(positive.substr(0, bar)), below = parse_decimal(positive.substr(bar + 1));
    if (above && below) value = apply(Operation::kDivide, *above, *below);
  } else if (!positive.starts_with("+") && !positive.starts_with("-")) {
    value = parse_decimal(positive);
  }
  if (value && negative) value = apply(Operation::kSubtract, Rational(0), *value);
  return value;
}

// The parts between commas outside of brackets.
std::vector<std::string> list_parts(std::string_view text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : text) {
    if (c == '(' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == ']' || c == '}') --depth;
    if (c == ',' && depth == 0)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

std::string normal_value(const std::string& text, int depth);

std::string normal_list(const std::vector<std::string>& parts, int depth) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) text += (i > 0 ? "," : "") + normal_value(parts[i], depth + 1);
  return text;
}

std::string normal_value(const std::string& text, int depth) {
  if (depth > kDeepestBraces || text.empty()) return text;
  if (const auto number = number_of(text)) return number->to_text();
  const auto parts = list_parts(text);
  if (parts.size() > 1) return normal_list(parts, depth);
  const char first = text.front(), last = text.back();
  if (text.size() > 2 && (first == '(' || first == '[') && (last == ')' || last == ']')) {
    const std::string_view inner = std::string_view(text).substr(1, text.size() - 2);
    const auto inner_parts = list_parts(inner);
    if (inner_parts.size() > 1) return first + normal_list(inner_parts, depth) + last;
  }
  // a/b of single symbols is a fraction: \pi/2.
  const std::size_t bar = text.find('/');
  if (bar != std::string::npos && bar > 0 && bar + 1 < text.size() && text.find('/', bar + 1) == std::string::npos &&
      text.find_first_of("+-(),{} ") == std::string::npos) {
    return "\\frac{" + text.substr(0, bar) + "}{" + text.substr(bar + 1) + "}";
  }
  return text;
}

}  // namespace

std::string normal_form(std::string_view answer) {
  std::string text(answer);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n' || text.back() == '.')) text.pop_back();
  text.erase(0, text.find_first_not_of(" \n\t"));
  if (text.size() > kLongestAnswer) return text;
  remove_unit_exponent(text);
  resolve_text_groups(text);
  constexpr std::array<std::pair<std::string_view, std::string_view>, 22> kSpellings = {{
      {"\n", " "},
      {"\\!", ""},
      {"\\,", ""},
      {"\\;", ""},
      {"\\:", ""},
      {"\\ ", ""},
      {"~", ""},
      {"\\$", ""},
      {"$", ""},
      {"\\%", ""},
      {"%", ""},
      {"^\\circ", ""},
      {"^{\\circ}", ""},
      {"\\degree", ""},
      {"\\tfrac", "\\frac"},
      {"\\dfrac", "\\frac"},
      {"\\cfrac", "\\frac"},
      {"\xE2\x88\x92", "-"},
      {"\xCF\x80", "\\pi"},
      {"\\lbrace", "\\{"},
      {"\\rbrace", "\\}"},
      {"\xC2\xB0", ""},
  }};
  for (const auto& [from, to] : kSpellings) replace_all(text, from, to);
  for (const std::string_view command : {"\\left", "\\right", "\\displaystyle", "\\quad", "\\qquad"}) {
    remove_command(text, command);
  }
  replace_all(text, " ", "");
  complete_arguments(text, "\\frac", 2);
  complete_arguments(text, "\\sqrt", 1);
  remove_name(text);
  return normal_value(text, 0);
}

}  // namespace kinglet::fot
