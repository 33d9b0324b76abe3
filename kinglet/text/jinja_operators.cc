#include "kinglet/text/jinja_operators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "kinglet/text/jinja_format.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet::jinja {
namespace {

using Flavour = Sequence::Flavour;

[[noreturn]] void fail_types(Runtime& runtime, std::string_view operation, const Value& a, const Value& b) {
  if (a.is_undefined()) runtime.fail_undefined(a);
  if (b.is_undefined()) runtime.fail_undefined(b);
  runtime.fail(fmt::format("'{}' does not work between {} and {}", operation, a.kind_name(), b.kind_name()));
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  const std::int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

double float_modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

std::int64_t integer_power(Runtime& runtime, std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  for (; exponent > 0; --exponent) {
    runtime.spend();
    if (__builtin_mul_overflow(result, base, &result)) runtime.fail("a number is too large");
    if (result == 0 || result == 1) {
      if (base == 0 || base == 1) break;
    }
  }
  return result;
}

Value integers(Runtime& runtime, std::string_view operation, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  if (operation == "+") overflow = __builtin_add_overflow(a, b, &result);
  if (operation == "-") overflow = __builtin_sub_overflow(a, b, &result);
  if (operation == "*") overflow = __builtin_mul_overflow(a, b, &result);
  if (operation == "/" || operation == "//" || operation == "%") {
    if (b == 0) runtime.fail("division by zero");
    if (operation == "/") return static_cast<double>(a) / static_cast<double>(b);
    overflow = a == std::numeric_limits<std::int64_t>::min() && b == -1;
    if (!overflow) result = operation == "//" ? floor_divide(a, b) : a - floor_divide(a, b) * b;
  }
  if (operation == "**") {
    if (b < 0) return std::pow(static_cast<double>(a), static_cast<double>(b));
    result = integer_power(runtime, a, b);
  }
  if (overflow) runtime.fail("a number is too large");
  return result;
}

Value floats(Runtime& runtime, std::string_view operation, double a, double b) {
  if (operation == "+") return a + b;
  if (operation == "-") return a - b;
  if (operation == "*") return a * b;
  if (operation == "**") return std::pow(a, b);
  if (b == 0) runtime.fail("division by zero");
  if (operation == "/") return a / b;
  if (operation == "//") return std::floor(a / b);
  return float_modulo(a, b);
}

Value joined(Runtime& runtime, const Sequence& a, const Sequence& b) {
  std::vector<Value> items = a.items;
  items.insert(items.end(), b.items.begin(), b.items.end());
  return runtime.sequence(a.flavour, std::move(items));
}

Value repeated(Runtime& runtime, const Value& value, std::int64_t times) {
  const auto count = static_cast<std::uint64_t>(std::clamp<std::int64_t>(times, 0, 1 << 30));
  if (value.is_string()) {
    runtime.spend_bytes(value.text().size() * count);
    std::string result;
    result.reserve(value.text().size() * count);
    for (std::uint64_t i = 0; i < count && !value.text().empty(); ++i) result += value.text();
    return result;
  }
  const Sequence& sequence = *value.sequence();
  runtime.spend(sequence.items.size() * count);
  std::vector<Value> items;
  for (std::uint64_t i = 0; i < count && !sequence.items.empty(); ++i) {
    items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  }
  return runtime.sequence(sequence.flavour, std::move(items));
}

bool is_list_or_tuple(const Value& value) {
  const Sequence* sequence = value.sequence();
  return sequence != nullptr && (sequence->flavour == Flavour::kList || sequence->flavour == Flavour::kTuple);
}

bool is_repeatable(const Value& value) { return value.is_string() || is_list_or_tuple(value); }
bool is_whole(const Value& value) { return value.is_integer() || value.is_boolean(); }

}  // namespace

Value negative(Runtime& runtime, const Value& value) {
  if (value.is_undefined()) runtime.fail_undefined(value);
  if (value.is_float()) return -value.number();
  if (!is_whole(value)) runtime.fail(fmt::format("'-' does not work on {}", value.kind_name()));
  return integers(runtime, "-", 0, value.integer());
}

Value arithmetic(Runtime& runtime, std::string_view operation, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    return a.is_float() || b.is_float() ? floats(runtime, operation, a.number(), b.number())
                                        : integers(runtime, operation, a.integer(), b.integer());
  }
  if (operation == "+" && a.is_string() && b.is_string()) {
    runtime.spend_bytes(a.text().size() + b.text().size());
    return a.text() + b.text();
  }
  if (operation == "+" && is_list_or_tuple(a) && is_list_or_tuple(b) &&
      a.sequence()->flavour == b.sequence()->flavour) {
    return joined(runtime, *a.sequence(), *b.sequence());
  }
  if (operation == "*" && is_repeatable(a) && is_whole(b)) return repeated(runtime, a, b.integer());
  if (operation == "*" && is_whole(a) && is_repeatable(b)) return repeated(runtime, b, a.integer());
  if (operation == "%" && a.is_string()) {
    const bool several = b.sequence() != nullptr && b.sequence()->flavour == Flavour::kTuple;
    return format_text(runtime, a.text(), several ? b.sequence()->items : std::vector<Value>{b});
  }
  fail_types(runtime, operation, a, b);
}

bool less(Runtime& runtime, const Value& a, const Value& b) {
  runtime.spend();
  if (a.is_number() && b.is_number()) {
    return a.is_float() || b.is_float() ? a.number() < b.number() : a.integer() < b.integer();
  }
  if (a.is_string() && b.is_string()) {
    runtime.spend(std::min(a.text().size(), b.text().size()) / 64);
    return a.text() < b.text();  // the order of UTF-8 is that of code points
  }
  if (!is_list_or_tuple(a) || !is_list_or_tuple(b) || a.sequence()->flavour != b.sequence()->flavour) {
    fail_types(runtime, "<", a, b);
  }
  const std::vector<Value>&x = a.sequence()->items, &y = b.sequence()->items;
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (!runtime.equal(x[i], y[i])) return less(runtime, x[i], y[i]);
  }
  return x.size() < y.size();
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is_string()) {
    const std::string& part = runtime.text_of(item, "what is searched in a text");
    runtime.spend(container.text().size() / 16 + part.size() / 16);
    return find_part(container.text(), part) != std::string::npos;
  }
  if (const Dict* dict = container.dict()) return runtime.find(*dict, item) != nullptr;
  const std::vector<Value> items = runtime.iterate(container);
  return std::any_of(items.begin(), items.end(), [&](const Value& one) { return runtime.equal(one, item); });
}

bool compare(Runtime& runtime, std::string_view operation, const Value& a, const Value& b) {
  if (operation == "==") return runtime.equal(a, b);
  if (operation == "!=") return !runtime.equal(a, b);
  if (operation == "in") return contains(runtime, b, a);
  if (operation == "not in") return !contains(runtime, b, a);
  if (operation == "<") return less(runtime, a, b);
  if (operation == ">") return less(runtime, b, a);
  const bool has_nan = (a.is_float() && std::isnan(a.number())) || (b.is_float() && std::isnan(b.number()));
  if (has_nan) return false;
  return operation == "<=" ? !less(runtime, b, a) : !less(runtime, a, b);
}

// ---- %-formatting ----------------------------------------------------------------------------------------------

namespace {

struct Conversion {
  bool left = false, zeros = false, plus = false;
  std::size_t width = 0;
  int precision = -1;
  char kind = 's';
};

Conversion read_conversion(Runtime& runtime, std::string_view format, std::size_t& at) {
  Conversion result;
  const auto peek = [&] { return at < format.size() ? format[at] : '\0'; };
  const auto read_number = [&] {
    std::size_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at)
      value = std::min<std::size_t>(value * 10 + static_cast<std::size_t>(peek() - '0'), 100000);
    return value;
  };
  for (;; ++at) {
    if (peek() == '-')
      result.left = true;
    else if (peek() == '0')
      result.zeros = true;
    else if (peek() == '+')
      result.plus = true;
    else
      break;
  }
  result.width = read_number();
  if (peek() == '.') {
    ++at;
    result.precision = static_cast<int>(std::min<std::size_t>(read_number(), 100));
  }
  result.kind = peek();
  if (at >= format.size()) runtime.fail("a format ends too early");
  ++at;
  return result;
}

std::string convert(Runtime& runtime, const Conversion& how, const Value& value) {
  const auto number = [&] {
    if (!value.is_number()) runtime.fail(fmt::format("the format %{} needs a number", how.kind));
    return value.number();
  };
  const std::string sign = how.plus ? "+" : "-";
  switch (how.kind) {
    case 's':
    case 'r': {
      const std::string text = how.kind == 's' ? to_text(runtime, value) : to_repr(runtime, value);
      if (how.precision < 0) return text;
      std::size_t end = 0;
      for (int i = 0; i < how.precision && end < text.size(); ++i) end = next_code_point(text, end);
      return text.substr(0, end);
    }
    case 'd':
    case 'i':
    case 'u': {
      const double whole = number();
      const std::int64_t integer =
          value.is_float() ? static_cast<std::int64_t>(std::clamp(whole, -9e18, 9e18)) : value.integer();
      return how.plus ? fmt::format("{:+}", integer) : fmt::format("{}", integer);
    }
    case 'x':
      return fmt::format("{:x}", runtime.integer_of(value, "the value of %x"));
    case 'X':
      return fmt::format("{:X}", runtime.integer_of(value, "the value of %X"));
    case 'f':
    case 'F':
      return fmt::format(fmt::runtime("{:" + sign + ".{}f}"), number(), how.precision < 0 ? 6 : how.precision);
    case 'e':
      return fmt::format(fmt::runtime("{:" + sign + ".{}e}"), number(), how.precision < 0 ? 6 : how.precision);
    case 'g':
      return fmt::format(fmt::runtime("{:" + sign + ".{}g}"), number(), how.precision < 0 ? 6 : how.precision);
    default:
      runtime.fail(fmt::format("the format %{} is not supported", how.kind));
  }
}

}  // namespace

Value format_text(Runtime& runtime, const std::string& format, const std::vector<Value>& values) {
  std::string result;
  std::size_t used = 0;
  for (std::size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      result.push_back(format[at++]);
      continue;
    }
    ++at;
    const Conversion how = read_conversion(runtime, format, at);
    if (how.kind == '%') {
      result.push_back('%');
      continue;
    }
    if (used == values.size()) runtime.fail("a format has more places than values");
    std::string text = convert(runtime, how, values[used++]);
    const std::size_t width = count_code_points(text);
    const std::size_t fill = how.width > width ? how.width - width : 0;
    runtime.spend_bytes(text.size() + fill);
    if (how.left) {
      result += text + std::string(fill, ' ');
    } else if (how.zeros && how.kind != 's' && how.kind != 'r') {
      const std::size_t digits = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
      result += text.substr(0, digits) + std::string(fill, '0') + text.substr(digits);
    } else {
      result += std::string(fill, ' ') + text;
    }
  }
  if (used < values.size() && !(values.size() == 1 && values[0].dict() != nullptr)) {
    runtime.fail("a format has fewer places than values");
  }
  return runtime.text(std::move(result));
}

}  // namespace kinglet::jinja
