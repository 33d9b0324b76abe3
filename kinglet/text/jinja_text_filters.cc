// Filters that make texts and numbers, and the two ways to the filters by name.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "kinglet/text/jinja_builtins.h"
#include "kinglet/text/jinja_format.h"
#include "kinglet/text/jinja_operators.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet::jinja {
namespace {

Value trim(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const std::string text = to_text(runtime, value);
  const Value* set = arguments.find(0, "chars");
  if (set == nullptr || set->is_none()) return runtime.text(std::string(strip(text)));
  const std::string& characters = runtime.text_of(*set, "the characters to trim");
  runtime.spend((text.size() / 64 + 1) * (characters.size() / 8 + 1));
  return runtime.text(std::string(strip(text, characters, Ends::kBoth)));
}

template <std::string (*kChange)(std::string_view)>
Value changed(Runtime& runtime, const Value& value, const Arguments&) {
  const std::string text = to_text(runtime, value);
  runtime.spend(text.size() / 8);
  return runtime.text(kChange(text));
}

// Words begin after white space, hyphens and opening brackets; letters inside of a word become small.
std::string titled(std::string_view text) {
  std::string result;
  std::size_t word = 0;
  const auto flush = [&](std::size_t end) {
    if (end == word) return;
    const std::size_t second = next_code_point(text, word);
    result += to_upper(text.substr(word, second - word)) + to_lower(text.substr(second, end - second));
  };
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = code_point_at(text, at);
    const std::size_t next = next_code_point(text, at);
    if (is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<') {
      flush(at);
      result += text.substr(at, next - at);
      word = next;
    }
    at = next;
  }
  flush(text.size());
  return result;
}

std::string html_escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&#34;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result.push_back(c);
    }
  }
  return result;
}

Value as_string(Runtime& runtime, const Value& value, const Arguments&) {
  return value.is_string() ? value : runtime.text(to_text(runtime, value));
}

Value replace(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Value *from = arguments.find(0, "old"), *to = arguments.find(1, "new"), *count = arguments.find(2, "count");
  if (from == nullptr || to == nullptr) runtime.fail("the filter 'replace' takes two texts");
  const std::int64_t most =
      count == nullptr || count->is_none() ? -1 : runtime.integer_of(*count, "the count of 'replace'");
  return replace_text(runtime, to_text(runtime, value), to_text(runtime, *from), to_text(runtime, *to), most);
}

Value otherwise(Runtime&, const Value& value, const Arguments& arguments) {
  const Value *given = arguments.find(0, "default_value"), *also_false = arguments.find(1, "boolean");
  const bool missing = value.is_undefined() || (also_false != nullptr && truth(*also_false) && !truth(value));
  if (!missing) return value;
  return given == nullptr ? Value(std::string()) : *given;
}

Value indent(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Value *width = arguments.find(0, "width"), *first = arguments.find(1, "first"),
              *blank = arguments.find(2, "blank");
  std::string indention = "    ";
  if (width != nullptr && width->is_string()) {
    indention = width->text();
  } else if (width != nullptr) {
    indention.assign(
        static_cast<std::size_t>(std::clamp<std::int64_t>(runtime.integer_of(*width, "the width"), 0, 1000)), ' ');
  }
  runtime.text_of(value, "what is indented");
  const std::vector<std::string> lines = split_lines(runtime, value.text() + "\n");
  std::string result;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    runtime.spend_bytes(lines[i].size() + indention.size() + 1);
    if (i > 0) result += "\n";
    const bool filled = !lines[i].empty() || (blank != nullptr && truth(*blank));
    if (i > 0 && filled) result += indention;
    result += lines[i];
  }
  return first != nullptr && truth(*first) ? indention + result : result;
}

JsonStyle json_style(Runtime& runtime, const Arguments& arguments) {
  JsonStyle style;
  const auto given = [&](std::string_view name, std::size_t place) {
    const Value* found = arguments.find(place, name);
    return found != nullptr && !found->is_none() ? found : nullptr;
  };
  if (const Value* ascii = given("ensure_ascii", 0)) style.ascii_only = truth(*ascii);
  if (const Value* width = given("indent", 1)) {
    style.indent = width->is_string() ? width->text()
                                      : std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(
                                                        runtime.integer_of(*width, "the indent"), 0, 1000)),
                                                    ' ');
    style.item_separator = ",";
  }
  if (const Value* separators = given("separators", 2)) {
    const std::vector<Value> both = runtime.iterate(*separators);
    if (both.size() != 2) runtime.fail("the separators of 'tojson' are two texts");
    style.item_separator = runtime.text_of(both[0], "a separator");
    style.key_separator = runtime.text_of(both[1], "a separator");
  }
  if (const Value* sorted = given("sort_keys", 3)) style.sort_keys = truth(*sorted);
  return style;
}

Value to_json_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return to_json(runtime, value, json_style(runtime, arguments));
}

// ---- numbers ---------------------------------------------------------------------------------------------------

std::optional<double> parse_float(std::string_view text) {
  text = strip(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const auto [after, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || after != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
  text = strip(text);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.size() > 2 && text[0] == '0') {
    const char letter = static_cast<char>(text[1] | 0x20);
    const bool has_prefix =
        (base == 16 && letter == 'x') || (base == 8 && letter == 'o') || (base == 2 && letter == 'b');
    if (has_prefix) text.remove_prefix(2);
  }
  std::int64_t number = 0;
  const auto [after, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || text[0] == '-' || error != std::errc() || after != text.data() + text.size()) return std::nullopt;
  return negative ? -number : number;
}

std::optional<std::int64_t> whole(double number) {
  if (!(std::abs(number) < 9.2e18)) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

Value as_integer(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Value *given = arguments.find(0, "default"), *base = arguments.find(1, "base");
  const Value fallback = given == nullptr ? Value(std::int64_t{0}) : *given;
  if (value.is_undefined()) runtime.fail_undefined(value);
  if (value.is_string()) {
    const std::int64_t number_base = base == nullptr ? 10 : runtime.integer_of(*base, "the base");
    if (number_base < 2 || number_base > 36) return fallback;
    if (const auto integer = parse_integer(value.text(), static_cast<int>(number_base))) return *integer;
    const auto number = parse_float(value.text());
    const auto integer = number ? whole(*number) : std::nullopt;
    return integer ? Value(*integer) : fallback;
  }
  if (!value.is_number()) return fallback;
  if (!value.is_float()) return value.integer();
  const auto integer = whole(value.number());
  return integer ? Value(*integer) : fallback;
}

Value as_float(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Value* given = arguments.find(0, "default");
  if (value.is_undefined()) runtime.fail_undefined(value);
  if (value.is_number()) return value.number();
  if (value.is_string()) {
    if (const auto number = parse_float(value.text())) return *number;
  }
  return given == nullptr ? Value(0.0) : *given;
}

// The decimal number with so many places that is nearest, ties to even: what printf does with the exact value.
double rounded(double number, std::int64_t places) {
  if (!std::isfinite(number) || places > 300) return number;
  if (places < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-places));
    return std::nearbyint(number / unit) * unit;
  }
  return std::strtod(fmt::format("{:.{}f}", number, places).c_str(), nullptr);
}

Value round_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Value *given = arguments.find(0, "precision"), *how = arguments.find(1, "method");
  const std::int64_t places = given == nullptr ? 0 : runtime.integer_of(*given, "the precision");
  const std::string method = how == nullptr ? "common" : runtime.text_of(*how, "the method");
  if (value.is_undefined()) runtime.fail_undefined(value);
  if (!value.is_number()) runtime.fail(fmt::format("a value of type {} cannot be rounded", value.kind_name()));
  if (method == "common") {
    if (!value.is_float() && places >= 0) return value.integer();
    const double result = rounded(value.number(), std::max<std::int64_t>(places, -300));
    return value.is_float() ? Value(result) : Value(static_cast<std::int64_t>(result));
  }
  if (method != "ceil" && method != "floor") runtime.fail("the method of 'round' is common, ceil or floor");
  const double unit = std::pow(10.0, static_cast<double>(places));
  return (method == "ceil" ? std::ceil(value.number() * unit) : std::floor(value.number() * unit)) / unit;
}

Value absolute(Runtime& runtime, const Value& value, const Arguments&) {
  if (value.is_undefined()) runtime.fail_undefined(value);
  if (!value.is_number()) runtime.fail(fmt::format("'abs' does not work on {}", value.kind_name()));
  return value.number() < 0 ? negative(runtime, value) : value.is_boolean() ? Value(value.integer()) : value;
}

Value format_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const std::string format = to_text(runtime, value);
  if (!arguments.named.empty()) runtime.fail("the filter 'format' takes no named arguments here");
  return format_text(runtime, format, arguments.positional);
}

Value center(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Arguments width = arguments;
  if (width.find(0, "width") == nullptr) width.named.emplace_back("width", std::int64_t{80});
  return runtime.call(find_method(runtime, runtime.text(to_text(runtime, value)), "center"), width);
}

Value word_count(Runtime& runtime, const Value& value, const Arguments&) {
  const std::string text = to_text(runtime, value);
  runtime.spend(text.size() / 8);
  std::int64_t count = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size(); at = next_code_point(text, at)) {
    const char32_t c = code_point_at(text, at);
    const bool belongs = is_letter(c) || is_digit(c) || c == '_';
    count += belongs && !inside ? 1 : 0;
    inside = belongs;
  }
  return count;
}

struct NamedTextFilter {
  std::string_view name;
  Filter filter;
};
constexpr NamedTextFilter kTextFilters[] = {
    {"trim", trim},
    {"upper", changed<to_upper>},
    {"lower", changed<to_lower>},
    {"title", changed<titled>},
    {"capitalize", changed<capitalized_text>},
    {"escape", changed<html_escaped>},
    {"e", changed<html_escaped>},
    {"forceescape", changed<html_escaped>},
    {"string", as_string},
    {"safe", as_string},
    {"replace", replace},
    {"default", otherwise},
    {"d", otherwise},
    {"indent", indent},
    {"tojson", to_json_filter},
    {"int", as_integer},
    {"float", as_float},
    {"round", round_filter},
    {"abs", absolute},
    {"format", format_filter},
    {"center", center},
    {"wordcount", word_count},
};

}  // namespace

Filter find_text_filter(std::string_view name) {
  const auto found = std::find_if(std::begin(kTextFilters), std::end(kTextFilters),
                                  [&](const NamedTextFilter& one) { return one.name == name; });
  return found == std::end(kTextFilters) ? nullptr : found->filter;
}

Value apply_filter(Runtime& runtime, std::string_view name, const Value& value, const Arguments& arguments) {
  Filter filter = find_text_filter(name);
  if (filter == nullptr) filter = find_sequence_filter(name);
  if (filter == nullptr) runtime.fail(fmt::format("there is no filter '{}'", name));
  const Runtime::Descent descent(runtime);
  runtime.spend();
  return filter(runtime, value, arguments);
}

}  // namespace kinglet::jinja
