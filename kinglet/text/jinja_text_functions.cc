// Functions of texts that filters and methods share.
#include <algorithm>

#include "kinglet/text/jinja_builtins.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet::jinja {
namespace {

bool ends_line(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

std::vector<std::string> split_words(Runtime& runtime, std::string_view text, std::int64_t most) {
  std::vector<std::string> parts;
  text = strip(text, Ends::kLeft);
  while (!text.empty()) {
    runtime.spend_bytes(kPartBytes);
    if (most >= 0 && static_cast<std::int64_t>(parts.size()) == most) {
      parts.emplace_back(text);
      break;
    }
    std::size_t end = 0;
    while (end < text.size() && !is_space(code_point_at(text, end))) end = next_code_point(text, end);
    parts.emplace_back(text.substr(0, end));
    text = strip(text.substr(end), Ends::kLeft);
  }
  return parts;
}

}  // namespace

std::vector<std::string> split_text(Runtime& runtime, std::string_view text, const std::string* separator,
                                    std::int64_t most) {
  if (separator == nullptr) return split_words(runtime, text, most);
  std::vector<std::string> parts;
  for (;;) {
    runtime.spend_bytes(kPartBytes);
    const bool enough = most >= 0 && static_cast<std::int64_t>(parts.size()) == most;
    const std::size_t at = enough ? std::string_view::npos : find_part(text, *separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + separator->size());
  }
}

std::vector<std::string> split_lines(Runtime& runtime, std::string_view text) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = code_point_at(text, at);
    std::size_t next = next_code_point(text, at);
    if (ends_line(c)) {
      runtime.spend_bytes(kPartBytes);
      lines.emplace_back(text.substr(begin, at - begin));
      if (c == '\r' && next < text.size() && text[next] == '\n') ++next;
      begin = next;
    }
    at = next;
  }
  if (begin < text.size()) lines.emplace_back(text.substr(begin));
  return lines;
}

std::string replace_text(Runtime& runtime, std::string_view text, std::string_view from, std::string_view to,
                         std::int64_t most) {
  std::string result;
  std::int64_t done = 0;
  const auto replace = [&] {
    runtime.spend_bytes(to.size());
    result += to;
    ++done;
  };
  const auto enough = [&] { return most >= 0 && done >= most; };
  runtime.spend(1 + text.size() / 8);
  runtime.spend_bytes(text.size());
  if (from.empty()) {  // between all characters and at both ends
    for_each_character(text, [&](std::string_view character) {
      if (!enough()) replace();
      result += character;
    });
    if (!enough()) replace();
    return result;
  }
  while (!enough()) {
    const std::size_t at = find_part(text, from);
    if (at == std::string_view::npos) break;
    result += text.substr(0, at);
    replace();
    text.remove_prefix(at + from.size());
  }
  return result += text;
}

std::string title_text(std::string_view text) {
  std::string result;
  bool after_cased = false;
  std::size_t word = 0;
  const auto flush = [&](std::size_t end) { result += to_lower(text.substr(word, end - word)); };
  for (std::size_t at = 0; at < text.size(); at = next_code_point(text, at)) {
    const char32_t c = code_point_at(text, at);
    if (is_cased(c) && !after_cased) {
      flush(at);
      const std::size_t next = next_code_point(text, at);
      result += to_title(text.substr(at, next - at));
      word = next;
    }
    after_cased = is_cased(c);
  }
  flush(text.size());
  return result;
}

std::string capitalized_text(std::string_view text) {
  if (text.empty()) return {};
  const std::size_t second = next_code_point(text, 0);
  return to_title(text.substr(0, second)) + to_lower(text.substr(second));
}

}  // namespace kinglet::jinja
