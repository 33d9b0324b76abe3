// UTF-8 as bytes: checking, code points, and the character classes of Python's str.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet::jinja {

bool is_utf8(std::string_view text);              // shortest forms only, no surrogates
std::size_t valid_utf8_prefix(std::string_view);  // how many bytes are valid

// The functions below take valid UTF-8.
std::size_t count_code_points(std::string_view text);
char32_t code_point_at(std::string_view text, std::size_t byte);  // of the character that starts at `byte`
std::size_t next_code_point(std::string_view text, std::size_t byte);
void append_code_point(std::string& text, char32_t code_point);
std::vector<std::string_view> characters(std::string_view text);  // one code point each; 16 bytes of memory for each

// visit(character) for every code point, in order.
template <typename Visit>
void for_each_character(std::string_view text, const Visit& visit) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t next = next_code_point(text, at);
    visit(text.substr(at, next - at));
    at = next;
  }
}

// Where `part` begins at or behind `from`, or last; npos when nowhere. In linear time whatever the texts are, which the
// search functions of std::string are not.
std::size_t find_part(std::string_view text, std::string_view part, std::size_t from = 0);
std::size_t find_last_part(std::string_view text, std::string_view part);

std::string to_upper(std::string_view text);  // full mappings, without a language
std::string to_lower(std::string_view text);
std::string to_title(std::string_view character);  // of one character

bool is_space(char32_t code_point);      // as str.isspace
bool is_printable(char32_t code_point);  // as str.isprintable
bool is_letter(char32_t code_point);
bool is_digit(char32_t code_point);
bool is_upper(char32_t code_point);
bool is_lower(char32_t code_point);
bool is_cased(char32_t code_point);

// Without the white space, or without the characters of `characters`, at its ends.
enum class Ends { kBoth, kLeft, kRight };
std::string_view strip(std::string_view text, Ends ends = Ends::kBoth);
std::string_view strip(std::string_view text, std::string_view characters, Ends ends);

}  // namespace kinglet::jinja
