#include "kinglet/text/json_text.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/sorted_json.h"

namespace kinglet {
namespace {

constexpr int kMaxJsonDepth = 100;

// The depth of brackets outside of texts, right for everything that is JSON.
int nesting(std::string_view text) {
  int depth = 0, deepest = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_text) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

// The parser's messages begin with its own error number and the place; the place alone is of use here.
std::string short_reason(std::string_view reason) {
  const std::size_t place = reason.find("column ");
  if (place == std::string_view::npos) return "not valid JSON";
  const std::size_t end = reason.find_first_not_of("0123456789", place + 7);
  return fmt::format("not valid JSON at {}", reason.substr(place, end - place));
}

template <typename Document>
Document parse(std::string_view text, std::string_view where, std::string_view remedy) {
  if (nesting(text) > kMaxJsonDepth)
    throw bad_input(where, fmt::format("JSON nested more than {} levels deep", kMaxJsonDepth));
  try {
    return Document::parse(text);
  } catch (const typename Document::exception& error) {
    throw bad_input(where, short_reason(error.what()), remedy);
  }
}

template <typename Document>
std::string_view kind_of(const Document& document) {
  switch (document.type()) {
    case Document::value_t::null:
      return "null";
    case Document::value_t::object:
      return "an object";
    case Document::value_t::array:
      return "a list";
    case Document::value_t::string:
      return "a text";
    case Document::value_t::boolean:
      return "true or false";
    default:
      return "a number";
  }
}

}  // namespace

Json parse_json(std::string_view text, std::string_view where) { return parse<Json>(text, where, "correct the file"); }

nlohmann::json parse_sorted_json(std::string_view text, std::string_view where) {
  return parse<nlohmann::json>(text, where, {});
}

std::string_view json_kind(const Json& json) { return kind_of(json); }
std::string_view json_kind(const nlohmann::json& json) { return kind_of(json); }

}  // namespace kinglet
